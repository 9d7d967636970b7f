// The stream of the server, for as long as somebody looks; it comes back by itself, and goes on where it was.
const RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30000;
const HIDDEN_MS = 60000;

export class LiveFeed {
  // `heard` has entries(list), pulse(pulse), state(name, message).
  constructor(address, heard) {
    this.address = address;
    this.heard = heard;
    this.after = "";
    this.failures = 0;
    this.source = null;
    this.ended = false;
    this.timer = 0;
    document.addEventListener("visibilitychange", () => this.#look());
    addEventListener("pagehide", () => this.#close());
    addEventListener("pageshow", (event) => { if (event.persisted) this.open(); });
  }

  open() {
    this.#close();
    const source = new EventSource(`${this.address}?after=${encodeURIComponent(this.after)}`);
    this.source = source;
    source.addEventListener("open", () => { this.failures = 0; });
    source.addEventListener("entries", (event) => {
      if (event.lastEventId) this.after = event.lastEventId;
      this.heard.entries(JSON.parse(event.data));
    });
    source.addEventListener("pulse", (event) => this.heard.pulse(JSON.parse(event.data)));
    source.addEventListener("end", (event) => this.#end(JSON.parse(event.data)));
    source.addEventListener("error", () => this.#again());
  }

  #end({ reason, message }) {
    if (reason === "stopping") {
      this.#again();
      return;
    }
    this.ended = true;
    this.#close();
    this.heard.state(reason, message);
  }

  // The browser would come back, too, but not after every kind of end, and all pages at the same moment.
  async #again() {
    this.#close();
    this.failures += 1;
    this.heard.state("away", "");
    if (this.failures > 1 && await mustSignIn()) {
      this.ended = true;
      this.heard.state("signed_out", "You are signed out, or no longer in this team.");
      return;
    }
    const wait = Math.min(RETRY_MS * 2 ** (this.failures - 1), LONGEST_RETRY_MS);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), wait * (0.5 + Math.random() / 2));
  }

  #look() {
    clearTimeout(this.hiding);
    if (this.ended) return;
    if (document.hidden) {
      this.hiding = setTimeout(() => this.#close(), HIDDEN_MS);
    } else if (!this.source) {
      this.open();
    }
  }

  #close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }
}

// A stream's failure does not say why.
async function mustSignIn() {
  try {
    const page = await fetch(location.pathname, { redirect: "manual", cache: "no-store" });
    return page.type === "opaqueredirect" || page.status === 403 || page.status === 404;
  } catch {
    return false;
  }
}
