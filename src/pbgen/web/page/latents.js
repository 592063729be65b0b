// Latents in, a picture or a sound out: a gallery, two of it held with all between, and walks through latent space.

import { latest, save } from "./dom.js";
import { Sampler } from "./sampler.js";
import { showing } from "./showing.js";
import { studio } from "./studio.js";
import { along, between, directions } from "./vectors.js";

const PICTURES = 24; // in the gallery
const SAMPLES = 192; // that directions are found by
const SAMPLES_SEED = 2 ** 40; // none that a reader chooses
const DIRECTIONS = 8;
const REACH = 4; // standard deviations, of a walk along a direction
const DRIFT = 2600; // milliseconds from one picture to the next

/** Builds the page's live part in `root`. */
export async function latents(root, session, config) {
  const page = new Latents(root, session, config);
  await page.fill(config.seed);
  page.findDirections();
}

class Latents {
  #view;
  #parts;
  #sampler;
  #gallery = []; // vectors
  #held; // a vector, and one that was chosen: what is shown lies between
  #chosen;
  #between = 1;
  #directions = [];
  #direction = 0;
  #walk = 0;
  #fillings = 0; // the newest gallery and the newest drift are gone on with, older ones end
  #drifts = 0;
  #show = latest(async () => this.#view.paint(this.#parts.large, await this.#sampler.make(this.#vector()), 0));

  constructor(root, session, config) {
    this.#view = showing(session.engine.outputs[0].shape, config.range);
    this.#parts = studio(root, this.#view, session.engine, PICTURES, DIRECTIONS);
    this.#sampler = new Sampler(session, (name) => this.#parts.labels[name].valueAsNumber || 0);
    this.#listen(config.name);
    session.addEventListener("change", () => this.#repaint());
  }

  /** Makes the gallery of a seed. */
  async fill(seed) {
    const own = ++this.#fillings;
    this.#parts.seed.value = seed;
    const vectors = await this.#sampler.draw(seed, 0, PICTURES);
    for (let i = 0; i < PICTURES && own === this.#fillings; ++i) {
      await this.#paintTile(i, vectors[i]);
      this.#gallery[i] = vectors[i];
      if (i === 0) this.#begin();
    }
  }

  /** Finds directions to walk along, from samples that nobody sees. */
  async findDirections() {
    const vectors = await this.#sampler.draw(SAMPLES_SEED, 0, SAMPLES);
    const pictures = [];
    for (const vector of vectors) pictures.push(this.#view.coarse(await this.#sampler.make(vector), 0));
    this.#directions = directions(vectors, pictures, DIRECTIONS);
    this.#parts.walking.hidden = false;
  }

  #listen(name) {
    const parts = this.#parts;
    parts.gallery.forEach((tile, i) => (tile.onclick = () => this.#choose(i)));
    parts.fresh.onclick = () => this.fill(random());
    parts.seed.onchange = () => parts.seed.reportValidity() && this.fill(parts.seed.valueAsNumber);
    for (const label of Object.values(parts.labels)) label.onchange = () => this.#repaint();
    parts.hold.onclick = () => this.#holdShown();
    parts.held.onclick = () => this.#setBetween(0);
    parts.chosen.onclick = () => this.#setBetween(1);
    parts.between.oninput = () => this.#steer(() => this.#setBetween(parts.between.valueAsNumber));
    parts.walk.oninput = () => this.#steer(() => this.#setWalk(parts.walk.valueAsNumber));
    parts.back.onclick = () => this.#setDirection(this.#direction - 1);
    parts.next.onclick = () => this.#setDirection(this.#direction + 1);
    parts.drift.onclick = () => this.#drift(parts.drift.getAttribute("aria-pressed") !== "true");
    parts.save.onclick = async () => {
      save(await this.#view.file(parts.large), `${name}-${parts.seed.value}${this.#view.ending}`);
    };
  }

  #vector() {
    const here = between(this.#held, this.#chosen, this.#between);
    const direction = this.#directions[this.#direction];
    return direction ? along(here, direction, this.#walk * reach(here.length)) : here;
  }

  async #paintTile(i, vector) {
    this.#view.paint(this.#parts.gallery[i].firstChild, await this.#sampler.make(vector), 0);
  }

  // Another engine, or another label.
  async #repaint() {
    this.#show();
    for (const [i, vector] of this.#gallery.entries()) await this.#paintTile(i, vector);
  }

  // A new gallery begins with its first picture shown; the very first one is also held.
  #begin() {
    if (!this.#held) this.#hold(this.#gallery[0], this.#parts.gallery[0].firstChild);
    this.#choose(0, false);
  }

  #choose(i, near = true) {
    if (!this.#gallery[i]) return;
    this.#drift(false);
    this.#parts.gallery.forEach((tile, j) => tile.setAttribute("aria-pressed", j === i));
    this.#take(this.#gallery[i], this.#parts.gallery[i].firstChild);
    this.#setWalk(0);
    if (near) this.#parts.large.scrollIntoView({ block: "nearest", behavior: "smooth" }); // on a phone it is far above
  }

  #hold(vector, canvas) {
    this.#held = vector;
    copy(canvas, this.#parts.held.firstChild);
  }

  #take(vector, canvas) {
    this.#chosen = vector;
    copy(canvas, this.#parts.chosen.firstChild);
    this.#setBetween(1);
  }

  #holdShown() {
    this.#hold(this.#vector(), this.#parts.large);
    this.#setWalk(0);
    this.#setBetween(0);
  }

  #setBetween(t) {
    this.#between = t;
    this.#parts.between.value = t;
    this.#parts.between.disabled = this.#held === this.#chosen;
    this.#show();
  }

  #setWalk(distance) {
    this.#walk = distance;
    this.#parts.walk.value = distance;
    this.#show();
  }

  #setDirection(i) {
    this.#direction = (i + DIRECTIONS) % DIRECTIONS;
    this.#parts.direction.textContent = `${this.#direction + 1} of ${DIRECTIONS}`;
    this.#setWalk(0);
  }

  #steer(move) {
    this.#drift(false);
    move();
  }

  // From one picture to the next, on and on.
  async #drift(on) {
    const own = ++this.#drifts;
    this.#parts.drift.setAttribute("aria-pressed", on);
    while (on && own === this.#drifts) {
      this.#holdShown();
      const [next] = await this.#sampler.draw(random(), 0, 1);
      const canvas = document.createElement("canvas");
      this.#view.paint(canvas, await this.#sampler.make(next), 0);
      if (own !== this.#drifts) return;
      this.#take(next, canvas);
      await this.#glide(() => own === this.#drifts);
    }
  }

  async #glide(goesOn) {
    const begun = performance.now();
    for (let t = 0; t < 1 && goesOn();) {
      t = Math.min(1, (performance.now() - begun) / DRIFT);
      this.#setBetween(t * t * (3 - 2 * t));
      await new Promise(requestAnimationFrame);
    }
  }
}

// Along one of many numbers the same distance is less of a change.
function reach(numbers) {
  return REACH * Math.max(1, Math.sqrt(numbers / 128));
}

function random() {
  return Math.floor(Math.random() * 1e6);
}

function copy(from, to) {
  Object.assign(to, { width: from.width, height: from.height });
  to.getContext("2d").drawImage(from, 0, 0);
}
