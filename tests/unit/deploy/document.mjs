// A document of a few lines, for the page's script in Node: elements that hold what they are given, canvases that draw nothing.
export class FakeElement {
    constructor(kind) {
        this.kind = kind;
        this.children = [];
        this.listeners = {};
        this.attributes = {};
        this.style = { setProperty: (name, value) => (this.style[name] = value) };
        this.classList = { add: (name) => (this.className = `${this.className ?? ""} ${name}`) };
        this.clientWidth = 512;
        this.clientHeight = 100;
        this.drawn = [];
    }
    append(...children) {
        this.children.push(...children);
    }
    replaceChildren(...children) {
        this.children = children;
    }
    setAttribute(name, value) {
        this.attributes[name] = value;
    }
    addEventListener(name, action) {
        this.listeners[name] = action;
    }
    setPointerCapture() {}
    getBoundingClientRect() {
        return { left: 0, top: 0, width: 512, height: 100 };
    }
    // Every call and every number given to it: NaN and infinities would be drawn nowhere.
    getContext() {
        const { drawn } = this;
        return new Proxy({}, {
            get: (none, name) =>
                name === "measureText" ? () => ({ width: 30 }) : (...given) => {
                    if (given.some((each) => typeof each === "number" && !Number.isFinite(each))) throw new Error(`${name}(${given})`);
                    drawn.push(name);
                },
            set: () => true,
        });
    }
    // All text in it.
    get words() {
        if (this.children.length === 0) return this.textContent ?? "";
        return this.children.map((each) => (typeof each === "string" ? each : each.words)).join(" ");
    }
}

// What the script asks of a browser. `frames`: what was to be done at the next frame.
export function browser(module, hash) {
    const named = { module: new FakeElement("script") };
    named.module.textContent = module;
    const frames = [];
    Object.assign(globalThis, {
        document: {
            createElement: (kind) => new FakeElement(kind),
            getElementById: (id) => (named[id] ??= new FakeElement(id)),
            querySelector: (kind) => new FakeElement(kind),
            documentElement: new FakeElement("html"),
            activeElement: undefined,
        },
        window: { devicePixelRatio: 2, location: { hash }, matchMedia: () => new FakeElement("media") },
        getComputedStyle: () => ({ getPropertyValue: () => "1 2 3" }),
        ResizeObserver: class {
            observe() {}
        },
        Option: class {},
        ImageData: class {
            constructor(width, height) {
                this.data = new Uint8ClampedArray(4 * width * height);
            }
        },
        requestAnimationFrame: (action) => frames.push(action),
        cancelAnimationFrame: () => (frames.length = 0),
    });
    named.speed = Object.assign(new FakeElement("input"), { value: "1000" });
    return { named, frames };
}
