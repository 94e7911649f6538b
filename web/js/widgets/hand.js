// Whether somebody scrolls: `scrollTop` is theirs meanwhile.

const REST_MS = "onscrollend" in globalThis ? 1000 : 150; // where `scrollend` does not come

export class Hand {
  #scroller;
  #moved;
  #rested;
  #isTouching = false;
  #timer = 0;
  isMoving = false;
  /** `scrollTop` as the list knows it; it tells here what it sets. */
  top = 0;

  /** `moved` is called at each step, `rested` once at the end; until `signal` is aborted. */
  constructor(scroller, signal, moved, rested) {
    this.#scroller = scroller;
    this.#moved = moved;
    this.#rested = rested;
    const on = (type, act) => scroller.addEventListener(type, act, { signal, passive: true });
    on("scroll", () => this.#scrolled());
    on("scrollend", () => this.#rest());
    for (const type of ["touchstart", "touchend", "touchcancel"]) {
      on(type, (event) => (this.#isTouching = event.touches.length > 0));
    }
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  #scrolled() {
    if (this.#scroller.scrollTop === this.top) return; // that was us
    this.isMoving = true;
    this.#wait(REST_MS);
    this.#moved();
  }

  #rest() {
    if (this.#isTouching) this.#wait(150);
    else if (this.isMoving) {
      clearTimeout(this.#timer);
      this.isMoving = false;
      this.#rested();
    }
  }

  #wait(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#rest(), ms);
  }
}
