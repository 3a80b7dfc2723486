// What the page shows: inputs of some steps, and what the model made of them so far. Nothing here knows of the document.
export class Session {
    constructor(model, length) {
        this.stream = model.stream();
        this.length = length;
        this.done = 0;
        this.given = tableOf(inputs, length);
        this.shown = tableOf(outputs, length);
        this.carried = tableOf(states, length);
    }

    // One step on; whether there was one.
    step() {
        if (this.done === this.length) return false;
        const row = Object.fromEntries(inputs.map((each) => [each.name, rowAt(this.given, each, this.done)]));
        const shown = this.stream.step(row);
        for (const each of outputs) rowAt(this.shown, each, this.done).set(shown[each.name]);
        for (const each of states) rowAt(this.carried, each, this.done).set(this.stream.state[each.name]);
        this.done++;
        return true;
    }

    runTo(step) {
        if (step < this.done) this.restart();
        while (this.done < step && this.step());
    }

    restart() {
        this.stream.reset();
        this.done = 0;
    }

    // Changes inputs, then runs as many steps as had been run.
    change(write) {
        write(this.given);
        const done = this.done;
        this.restart();
        this.runTo(done);
    }

    // The last row of each input is repeated where there were fewer.
    resize(length) {
        const before = this.given;
        const done = this.done === this.length ? length : Math.min(this.done, length);
        const last = this.length - 1;
        this.length = length;
        this.given = tableOf(inputs, length);
        this.shown = tableOf(outputs, length);
        this.carried = tableOf(states, length);
        for (const each of inputs)
            for (let step = 0; step < length; step++) rowAt(this.given, each, step).set(rowAt(before, each, Math.min(step, last)));
        this.restart();
        this.runTo(done);
    }

    // A step of something that goes on: behind the last one, the oldest one is forgotten. What isn't in `row` stays as it is.
    live(row) {
        if (this.done === this.length) {
            for (const [fields, table] of [[inputs, this.given], [outputs, this.shown], [states, this.carried]])
                for (const each of fields) table[each.name].copyWithin(0, each.width);
            this.done--;
        }
        for (const [name, write] of Object.entries(row)) write(rowAt(this.given, fieldOf(name), this.done));
        this.step();
    }

    // What was typed for an input: as many steps as there are rows.
    type(name, text) {
        const each = fieldOf(name);
        const values = typed(each, text);
        const length = values.length / each.width;
        this.resize(length);
        this.change((given) => given[name].set(values));
        this.runTo(length);
    }
}

export const longest = 4096;

export function rowAt(table, each, step) {
    return table[each.name].subarray(step * each.width, (step + 1) * each.width);
}

function tableOf(fields, length) {
    return Object.fromEntries(fields.map((each) => [each.name, new (arrayOf(each))(each.width * length)]));
}

function fieldOf(name) {
    const each = inputs.find((one) => one.name === name);
    if (each === undefined) throw new RangeError(`no input is named ${name}`);
    return each;
}

// The numbers of a text; a RangeError that says which word is none.
export function typed(each, text) {
    const words = text.split(/[\s,;]+/).filter((word) => word !== "");
    const values = words.map((word, place) => {
        const value = Number(word.replace(/^([+-]?)inf$/i, "$1Infinity"));
        if (Number.isNaN(value) && word.toLowerCase() !== "nan") throw new RangeError(`"${word}", word ${place + 1}, is no number`);
        if ("vocabulary" in each && !(Number.isInteger(value) && value >= 0 && value < each.vocabulary))
            throw new RangeError(`"${word}", word ${place + 1}, is no id from 0 to ${each.vocabulary - 1}`);
        return value;
    });
    if (values.length === 0) throw new RangeError("there is no number");
    if (values.length % each.width !== 0) throw new RangeError(`a step has ${each.width} numbers, and ${values.length} are no whole steps`);
    if (values.length > longest * each.width) throw new RangeError(`at most ${longest} steps can be shown`);
    return values;
}

export function textOf(each, values) {
    const rows = Array.from({ length: values.length / each.width }, (none, step) =>
        Array.from(values.subarray(step * each.width, (step + 1) * each.width), short).join(" "),
    );
    return rows.join(each.width === 1 ? " " : "\n");
}

export function short(value) {
    return Number.isFinite(value) ? String(Number(value.toPrecision(4))) : String(value);
}

// Inputs to begin with, each as a number of its step and its place in the row.
const someNoise = (step, place) => {
    const value = Math.sin(12.9898 * (step + 1) + 78.233 * (place + 1)) * 43758.5453;
    return value - Math.floor(value);
};
const numberShapes = {
    Sine: (step, place) => Math.sin((2 * Math.PI * step) / 32 + place),
    Square: (step, place) => ((step + 4 * place) % 32 < 16 ? 1 : -1),
    Pulse: (step, place) => (step === 8 + 4 * place ? 1 : 0),
    Noise: (step, place) => 2 * someNoise(step, place) - 1,
    Silence: () => 0,
};
const idShapes = {
    Counting: (step, place, count) => step % count,
    Random: (step, place, count) => Math.floor(someNoise(step, place) * count),
    First: () => 0,
};

export function shapesOf(each) {
    return "vocabulary" in each ? idShapes : numberShapes;
}

export function fill(each, values, shape) {
    const make = shapesOf(each)[shape];
    values.forEach((none, at) => (values[at] = make(Math.floor(at / each.width), at % each.width, each.vocabulary)));
}

// The least and the largest finite number; 0 where there is none.
export function endsOf(values) {
    let least = Infinity;
    let largest = -Infinity;
    for (const value of values) {
        if (!Number.isFinite(value)) continue;
        if (value < least) least = value;
        if (value > largest) largest = value;
    }
    return least > largest ? [0, 0] : [least, largest];
}

// The same with some air.
export function rangeOf(values) {
    const [least, largest] = endsOf(values);
    const air = least === largest ? Math.abs(least) * 0.1 || 1 : (largest - least) * 0.06;
    return [least - air, largest + air];
}

export function largestOf(values) {
    const [least, largest] = endsOf(values);
    return Math.max(-least, largest);
}
