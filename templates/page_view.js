// The document: charts of inputs, outputs and states above each other, all with the same steps from left to right.
const element = (kind, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(kind), properties);
    made.append(...children);
    return made;
};
const several = 8; // so many lines can be told apart; more are shown as a strip of colours

class Chart {
    constructor(name, note, label, height) {
        this.canvas = element("canvas", { className: "chart" });
        this.canvas.setAttribute("role", "img");
        this.canvas.setAttribute("aria-label", label);
        this.canvas.style.height = `${height}px`;
        this.values = element("output", { className: "values" });
        this.side = element("div", { className: "side" }, element("h3", {}, name), element("p", { className: "note" }, note), this.values);
        this.row = element("div", { className: "row" }, this.side, this.canvas);
    }

    // The context in CSS pixels, cleared, with the size of the canvas.
    begin() {
        const { clientWidth: wide, clientHeight: high } = this.canvas;
        const dots = window.devicePixelRatio || 1;
        const [width, height] = [Math.max(1, Math.round(wide * dots)), Math.max(1, Math.round(high * dots))];
        if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
        const context = this.canvas.getContext("2d");
        context.setTransform(dots, 0, 0, dots, 0, 0);
        context.clearRect(0, 0, wide, high);
        return { context, wide, high };
    }

    stepAt(event, length) {
        const box = this.canvas.getBoundingClientRect();
        return Math.max(0, Math.min(length - 1, Math.floor(((event.clientX - box.left) / box.width) * length)));
    }

    // `labels`: the numbers at the lower and the upper edge; `active`: the line that others step back behind.
    drawLines(look, each, values, steps, length, { range: [low, high], labels = [low, high], active = -1 }) {
        const { context, wide, high: tall } = this.begin();
        const across = (step) => ((step + 0.5) / length) * wide;
        const down = (value) => tall - ((value - low) / (high - low)) * tall;
        const stairs = "vocabulary" in each;
        const half = wide / length / 2;
        context.lineWidth = 1;
        context.strokeStyle = look("--grid");
        for (const value of [low, (low + high) / 2, high]) {
            context.beginPath();
            context.moveTo(0, Math.min(tall - 0.5, down(value) + 0.5));
            context.lineTo(wide, Math.min(tall - 0.5, down(value) + 0.5));
            context.stroke();
        }
        context.lineJoin = "round";
        for (let place = 0; place < each.width; place++) {
            context.globalAlpha = active < 0 || active === place ? 1 : 0.3;
            context.strokeStyle = look(`--line-${place % several}`);
            context.lineWidth = 2;
            context.beginPath();
            let open = false;
            for (let step = 0; step < steps; step++) {
                const value = values[step * each.width + place];
                if (!Number.isFinite(value)) {
                    open = false;
                    continue;
                }
                // A number alone is a dash; ids have nothing between them.
                const reach = stairs ? half : open ? 0 : Math.min(half, 2);
                if (open) context.lineTo(across(step) - reach, down(value));
                else context.moveTo(across(step) - reach, down(value));
                context.lineTo(across(step) + (stairs ? half : 0), down(value));
                open = true;
            }
            context.stroke();
        }
        context.globalAlpha = 1;
        context.font = "11px system-ui, sans-serif";
        labels.forEach((value, number) => {
            const words = short(value);
            const [top, line] = number === 0 ? [tall - 16, tall - 4] : [1, 12];
            context.fillStyle = look("--card");
            context.globalAlpha = 0.8;
            context.fillRect(1, top, context.measureText(words).width + 6, 15);
            context.globalAlpha = 1;
            context.fillStyle = look("--quiet");
            context.fillText(words, 4, line);
        });
    }

    // Numbers by their sign and size; where none is below zero, by where they lie between the least and the largest. Gives the range.
    drawStrip(look, each, values, steps, length) {
        const { context, wide, high } = this.begin();
        const [least, largest] = endsOf(values.subarray(0, steps * each.width));
        const begin = least < 0 ? 0 : least;
        const most = (least < 0 ? Math.max(-least, largest) : largest - least) || 1;
        const [low, none, much] = ["--low", "--none", "--much"].map((name) => look(name).split(" ").map(Number));
        const image = new ImageData(length, each.width);
        for (let step = 0; step < steps; step++) {
            for (let place = 0; place < each.width; place++) {
                const value = values[step * each.width + place];
                const part = Math.min(1, Math.abs(value - begin) / most) ** 0.7;
                const end = value < 0 ? low : much;
                const at = 4 * (place * length + step);
                for (let colour = 0; colour < 3; colour++)
                    image.data[at + colour] = Number.isNaN(part) ? 128 : none[colour] + part * (end[colour] - none[colour]);
                image.data[at + 3] = 255;
            }
        }
        const small = element("canvas", { width: length, height: each.width });
        small.getContext("2d").putImageData(image, 0, 0);
        context.imageSmoothingEnabled = false;
        context.drawImage(small, 0, 0, wide, high);
        return least < 0 ? `up to ±${short(most)}` : `${short(least)} to ${short(largest)}`;
    }

    drawCursor(look, step, length) {
        const context = this.canvas.getContext("2d");
        const { clientWidth: wide, clientHeight: high } = this.canvas;
        context.fillStyle = look("--cursor");
        context.fillRect(((step + 0.5) / length) * wide - 0.5, 0, 1, high);
    }
}

class Page {
    constructor(model) {
        this.session = new Session(model, 128);
        this.hovered = undefined;
        this.running = 0;
        this.message = document.getElementById("message");
        this.position = document.getElementById("position");
        this.editors = inputs.map((each) => new Editor(this, each));
        for (const each of this.editors) fill(each.field, this.session.given[each.field.name], Object.keys(shapesOf(each.field))[0]);
        this.charts = [
            ...outputs.map((each) => ({ each, table: "shown", lines: each.width <= several, chart: chartOf("Output", each, 150) })),
            ...states.map((each) => ({ each, table: "carried", lines: false, chart: chartOf("State", each, stripHeight(each)) })),
        ];
        const rows = (table) => this.charts.filter((one) => one.table === table).map((one) => one.chart.row);
        document.getElementById("inputs").append(...this.editors.map((each) => each.whole));
        document.getElementById("outputs").append(...rows("shown"));
        document.getElementById("states").append(...rows("carried"));
        const nothing = element("p", { className: "note" }, "This model carries nothing from step to step.");
        if (states.length === 0) document.getElementById("states").append(nothing);
        for (const { each, chart } of this.charts) this.follow(chart, each.width);
        this.buttons();
        this.attempt(() => this.readAddress());
        this.session.runTo(this.session.length);
        new ResizeObserver(() => this.draw()).observe(document.querySelector("main"));
        window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
        this.draw();
    }

    // What an address says behind its "#": inputs by their names, such as #x=0.1 0.2 0.3
    readAddress() {
        for (const [name, text] of new URLSearchParams(window.location.hash.slice(1))) this.session.type(name, text);
    }

    buttons() {
        const at = (id) => document.getElementById(id);
        this.run = at("run");
        this.speed = at("speed");
        this.steps = at("steps");
        this.run.onclick = () => (this.running ? this.pause() : this.play());
        at("step").onclick = () => {
            this.pause();
            if (this.session.done === this.session.length) this.session.restart();
            this.session.step();
            this.draw();
        };
        at("restart").onclick = () => {
            this.pause();
            this.session.restart();
            this.draw();
        };
        this.steps.onchange = () =>
            this.attempt(() => {
                const length = Number(this.steps.value);
                const sound = Number.isInteger(length) && length >= 1 && length <= longest;
                if (!sound) throw new RangeError(`steps: a number from 1 to ${longest} is needed`);
                this.session.resize(length);
            });
    }

    // Runs what may fail by what was typed, and says so.
    attempt(action) {
        try {
            this.message.textContent = "";
            action();
        } catch (error) {
            this.say(error);
        }
        this.draw();
    }

    say(error) {
        this.message.textContent = error.message;
    }

    play() {
        for (const each of this.editors) each.listen(false);
        if (this.session.done === this.session.length) this.session.restart();
        this.each(() => {
            if (!this.session.step()) this.pause();
        });
    }

    // Does something as often a second as was chosen, until `pause`.
    each(action) {
        this.pause();
        let owed = 0;
        let before = performance.now();
        const turn = (now) => {
            owed = Math.min(owed + ((now - before) * Number(this.speed.value)) / 1000, 16);
            before = now;
            for (; owed >= 1 && this.running; owed--) action();
            this.draw();
            if (this.running) this.running = requestAnimationFrame(turn);
        };
        this.running = requestAnimationFrame(turn);
        this.run.textContent = "Pause";
    }

    pause() {
        cancelAnimationFrame(this.running);
        this.running = 0;
        this.run.textContent = "Run";
    }

    // The step under the pointer is the one whose numbers are shown; of a strip, the number under it.
    follow(chart, rows) {
        chart.canvas.addEventListener("pointermove", (event) => {
            const box = chart.canvas.getBoundingClientRect();
            this.hovered = chart.stepAt(event, this.session.length);
            this.pointed = chart;
            this.place = Math.max(0, Math.min(rows - 1, Math.floor(((event.clientY - box.top) / box.height) * rows)));
            this.draw();
        });
        chart.canvas.addEventListener("pointerleave", () => {
            this.hovered = this.pointed = undefined;
            this.draw();
        });
    }

    draw() {
        const { session } = this;
        const style = getComputedStyle(document.documentElement);
        const look = (name) => style.getPropertyValue(name).trim();
        const last = Math.max(0, session.done - 1);
        const cursor = Math.min(this.hovered ?? last, session.length - 1);
        for (const each of this.editors) each.draw(look, cursor);
        const there = cursor < session.done;
        for (const { each, table, lines, chart } of this.charts) {
            const values = session[table][each.name];
            const row = rowAt(session[table], each, cursor);
            if (lines) {
                const range = rangeOf(values.subarray(0, session.done * each.width));
                chart.drawLines(look, each, values, session.done, session.length, { range });
                chart.values.replaceChildren(...(there ? readings(row) : []));
            } else {
                const range = chart.drawStrip(look, each, values, session.done, session.length);
                const largest = row.reduce((best, value, place) => (value > row[best] ? place : best), 0);
                const place = this.pointed === chart ? this.place : table === "shown" ? largest : -1;
                chart.values.replaceChildren(there && place >= 0 ? `[${place}] ${short(row[place])}` : session.done > 0 ? range : "");
            }
            chart.drawCursor(look, cursor, session.length);
        }
        this.position.textContent = `step ${session.done} of ${session.length}`;
        if (document.activeElement !== this.steps) this.steps.value = session.length;
    }
}

function stripHeight(each) {
    return Math.max(28, Math.min(200, 5 * each.width));
}

function chartOf(kind, each, height) {
    return new Chart(each.name, kind === "State" ? numbers(each.width) : counted(each), `${kind} ${each.name}, step by step`, height);
}

// The numbers of a row, each in the colour of its line.
function readings(row) {
    return Array.from(row, (value, place) => {
        const made = element("span", { className: "reading" }, short(value));
        made.style.setProperty("--own", `var(--line-${place % several})`);
        return made;
    });
}

function counted(each) {
    if ("vocabulary" in each) return `ids from 0 to ${each.vocabulary - 1}`;
    return `${numbers(each.width)} a step`;
}

function numbers(count) {
    return count === 1 ? "1 number" : `${count} numbers`;
}

// Where an input is drawn, typed, chosen or heard.
class Editor {
    constructor(page, each) {
        this.page = page;
        this.field = each;
        this.ids = "vocabulary" in each;
        this.place = 0;
        this.reach = 1;
        this.chart = new Chart(each.name, counted(each), `Input ${each.name}: draw with the pointer, or type it below`, 120);
        this.chart.canvas.classList.add("drawn");
        this.tools = element("div", { className: "tools" });
        this.whole = element("div", { className: "editor" }, this.chart.row, this.tools);
        const choices = ["Shape…", ...Object.keys(shapesOf(each))].map((name) => new Option(name, name));
        const shapes = element("select", { ariaLabel: `Shape of ${each.name}` }, ...choices);
        shapes.onchange = () => {
            if (shapes.selectedIndex > 0) page.session.change((given) => fill(each, given[each.name], shapes.value));
            shapes.selectedIndex = 0;
            this.show();
        };
        this.tools.append(shapes);
        if (each.width > 1) this.addPlaces();
        if (!this.ids) this.addReach();
        this.addText();
        if (!this.ids) this.addMicrophone();
        this.drawByPointer();
    }

    addPlaces() {
        const places = element("select", { ariaLabel: `Line of ${this.field.name} that is drawn` });
        for (let place = 0; place < this.field.width; place++) places.append(new Option(`Line ${place}`, place));
        places.onchange = () => {
            this.place = Number(places.value);
            this.page.draw();
        };
        this.tools.append(places);
    }

    addReach() {
        const reach = element("input", { type: "number", min: "0", step: "any", value: "1", ariaLabel: `Range of ${this.field.name}` });
        reach.onchange = () =>
            this.page.attempt(() => {
                if (!(Number(reach.value) > 0)) throw new RangeError("a range above 0 is needed");
                this.reach = Number(reach.value);
            });
        this.tools.append(element("label", {}, "± ", reach));
    }

    addText() {
        const text = element("textarea", { rows: 4, spellcheck: false, ariaLabel: `Numbers of ${this.field.name}` });
        const take = element("button", { type: "button", className: "plain" }, "Take these");
        take.onclick = () => this.page.attempt(() => this.page.session.type(this.field.name, text.value));
        const details = element("details", {}, element("summary", {}, "Type"), text, take);
        this.text = { text, details };
        details.ontoggle = () => this.show();
        this.tools.append(details);
    }

    show() {
        const { session } = this.page;
        if (this.text.details.open) this.text.text.value = textOf(this.field, session.given[this.field.name]);
        this.page.draw();
    }

    addMicrophone() {
        this.microphone = element("button", { type: "button", className: "plain" }, "Microphone");
        this.microphone.onclick = () => this.listen(this.heard === undefined);
        this.tools.append(this.microphone);
    }

    // The level of a microphone, from 0 to the range, is the drawn line's next step.
    async listen(on) {
        if (!on) {
            if (this.heard === undefined) return;
            this.heard.getTracks().forEach((track) => track.stop());
            this.sound.close();
            this.heard = undefined;
            this.microphone.textContent = "Microphone";
            this.page.pause();
            return;
        }
        try {
            if (navigator.mediaDevices === undefined) throw new Error("this browser gives no microphone to this page");
            for (const each of this.page.editors) each.listen(false);
            this.heard = await navigator.mediaDevices.getUserMedia({ audio: true });
            this.sound = new AudioContext();
            const meter = this.sound.createAnalyser();
            meter.fftSize = 1024;
            this.sound.createMediaStreamSource(this.heard).connect(meter);
            const samples = new Float32Array(meter.fftSize);
            this.microphone.textContent = "Stop listening";
            this.page.session.restart();
            this.page.each(() => {
                meter.getFloatTimeDomainData(samples);
                const level = Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length);
                this.page.session.live({ [this.field.name]: (row) => (row[this.place] = this.reach * Math.min(1, 4 * level)) });
            });
        } catch (error) {
            this.page.say(error);
        }
    }

    bounds() {
        if (this.ids) return [-0.5, this.field.vocabulary - 0.5];
        const most = Math.max(this.reach, largestOf(this.page.session.given[this.field.name]));
        return [-1.05 * most, 1.05 * most];
    }

    drawByPointer() {
        const { canvas } = this.chart;
        let before;
        const put = (event) => {
            const { session } = this.page;
            const box = canvas.getBoundingClientRect();
            const step = this.chart.stepAt(event, session.length);
            const [low, high] = this.bounds();
            const up = Math.max(0, Math.min(1, 1 - (event.clientY - box.top) / box.height));
            const most = this.ids ? this.field.vocabulary - 1 : high / 1.05;
            const value = Math.max(this.ids ? 0 : -most, Math.min(most, low + up * (high - low)));
            const from = before ?? { step, value };
            const count = Math.abs(step - from.step);
            session.change((given) => {
                for (let part = 0; part <= count; part++) {
                    const mixed = count === 0 ? value : from.value + ((value - from.value) * part) / count;
                    const at = from.step + Math.sign(step - from.step) * part;
                    given[this.field.name][at * this.field.width + this.place] = this.ids ? Math.round(mixed) : mixed;
                }
            });
            before = { step, value };
            this.page.hovered = step;
            this.page.draw();
        };
        canvas.onpointerdown = (event) => {
            canvas.setPointerCapture(event.pointerId);
            before = undefined;
            put(event);
        };
        canvas.onpointermove = (event) => {
            if (event.buttons & 1) put(event);
            else {
                this.page.hovered = this.chart.stepAt(event, this.page.session.length);
                this.page.draw();
            }
        };
        canvas.onpointerup = () => this.show();
        canvas.onpointerleave = () => {
            this.page.hovered = undefined;
            this.page.draw();
        };
    }

    draw(look, cursor) {
        const { session } = this.page;
        const values = session.given[this.field.name];
        const range = this.bounds();
        const labels = this.ids ? [0, this.field.vocabulary - 1] : range.map((each) => each / 1.05);
        const active = this.field.width > 1 ? this.place : -1;
        this.chart.drawLines(look, this.field, values, session.length, session.length, { range, labels, active });
        this.chart.drawCursor(look, cursor, session.length);
        const row = rowAt(session.given, this.field, cursor);
        const one = `line ${this.place}: ${short(row[this.place])}`;
        this.chart.values.replaceChildren(...(this.field.width <= several ? readings(row) : [one]));
    }
}

async function start() {
    const text = atob(document.getElementById("module").textContent);
    try {
        new Page(await load(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    } catch (error) {
        document.getElementById("message").textContent = `This browser can't run the model: ${error.message}`;
        throw error;
    }
}

if (typeof document !== "undefined") start();
