/* The experiment: pages, trials whose frames are counted, answers that are kept here until they have arrived. */
"use strict";
(() => {
const plan = JSON.parse(document.getElementById("plan").textContent), {text, categories} = plan;
// Where keys are on the keyboard, whatever is printed on them: four rows of four, as the answers on the screen.
const CODES = "Digit1 Digit2 Digit3 Digit4 KeyQ KeyW KeyE KeyR KeyA KeyS KeyD KeyF KeyZ KeyX KeyC KeyV".split(" ");
const ARROWS = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -4, ArrowDown: 4};
const CARD_CM = 8.56, CHECK_MS = 1000, BATCH = 50, MOST_WAIT = 10000, GREY = "#808080", INK = "#000000";
const total = plan.images.length;
const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches && plan.mask !== "none";

const fill = (line, values) => line.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
const word = (category) => text.categories[categories.indexOf(category)];
const rounded = (value, digits) => Number(value.toFixed(digits));

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value); else node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// --- what is kept in the browser: an entry for each answer, written once, so that two tabs never overwrite one another

const PERSON = `ask:${plan.study}:person`, TAB = `ask:${plan.study}:tab`, tab = Math.random();
const place = (number) => `ask:${plan.id}:${number}:`;
let lasting = true;
write(TAB, null);

function read(key) {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}
function write(key, value) {
  try { localStorage.setItem(key, JSON.stringify(value)); } catch { lasting = false; }
}
function keptAnswers({number}) {
  const start = place(number), keys = lasting ? Object.keys(localStorage).filter((key) => key.startsWith(start)) : [];
  return Object.fromEntries(keys.map((key) => [key.slice(start.length), read(key)]));
}

let person = read(PERSON), done = person ? keptAnswers(person) : {}, away = false, leave = () => {};

function keep(trial, record) {
  const key = place(person.number) + trial, before = read(key);  // another tab may have been first
  done[trial] = before ?? record;
  if (!before) write(key, record);
}

window.addEventListener("storage", ({key, newValue}) => {
  if (key === TAB && newValue !== JSON.stringify(tab)) { away = true; leave(); }
});

// --- the order of trials: images, attention checks, and once more those with a late frame

const order = () => person.number % plan.orders.length;

function agenda() {
  return plan.orders[order()].flatMap((image, at) => {
    const trial = {trial: `${at + 1}`, image, mask: plan.masks[order()][at]}, number = (at + 1) / plan.checkEvery;
    const check = Number.isInteger(number) && plan.checks[order()][number - 1];
    return check ? [trial, {trial: `c${number}`, check}] : [trial];
  });
}

function upcoming() {
  const items = agenda(), first = items.find((item) => !done[item.trial]);
  const late = items.find(({trial, check}) => done[trial]?.late_frames > 0 && !check && !done[trial + plan.again]);
  return first ?? (late ? {...late, trial: late.trial + plan.again} : null);
}

const answered = () => Object.keys(done).filter((trial) => /^\d+$/.test(trial)).length;
const subject = () => `subject-${String(person.number).padStart(2, "0")}`;

function row(trial, record) {
  const item = agenda().find((known) => known.trial === trial.replace(plan.again, "")), {check} = item;
  const [imagename, condition, category, digest] = check ? ["check", "", check, ""] : plan.images[item.image];
  const values = {
    ...record, subj: subject(), session: plan.session, trial, rt: record.rt ?? "NaN", imagename, condition, category,
    digest, experiment: plan.experiment, set: plan.set, space: plan.space, ...person.about,
    status: check ? "check" : record.late_frames ? "late" : "ok",
    mask: check || plan.mask === "none" ? "none" : record.reduced ? "reduced" : item.mask,
  };
  return Object.fromEntries(plan.columns.map((name) => [name, String(values[name] ?? "")]));
}

// --- answers on their way to the server: sent again until it says that they are on its disk

const unsent = () => Object.entries(done).filter(([, record]) => !record.sent);

async function post(path, body) {
  const token = new URLSearchParams(location.search).get("token") ?? "";
  const reply = await fetch(path, {method: "POST", headers: {"X-Ask": token}, body: JSON.stringify(body)});
  if (!reply.ok) throw new Error(`${reply.status}`);
  return reply.json();
}

let sending = false;

async function send() {
  if (!plan.served || sending) return;
  sending = true;
  for (let wait = 1000; unsent().length;) {
    const {number, key, about} = person, answers = unsent().slice(0, BATCH);
    try {
      const given = answers.map(([trial, {sent, ...record}]) => ({trial, ...record}));
      const {refused} = await post("answers", {plan: plan.id, person: number, key, about, answers: given});
      for (const [trial, record] of answers) {
        done[trial] = {...record, sent: trial in refused ? "refused" : "stored"};
        write(place(number) + trial, done[trial]);
      }
      wait = 1000;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, wait));
      wait = Math.min(2 * wait, MOST_WAIT);
    }
    window.dispatchEvent(new Event("ask-sent"));
  }
  sending = false;
}

// --- time is counted in frames: what is drawn in one is on the screen until something is drawn in another

let frame = 1000 / 60;
const nextFrame = () => new Promise(requestAnimationFrame);

async function measure() {
  const times = [];
  while (times.length < 61) times.push(await nextFrame());
  // The lower quartile: a frame that comes late makes a gap longer, nothing makes one shorter.
  frame = times.slice(1).map((time, at) => time - times[at]).sort((a, b) => a - b)[15];
}

async function flash(phases) {
  const record = {ms: [], frames: [], late: 0};
  let began = await nextFrame(), last = began;
  for (const {ms, draw} of phases) {
    let count = 0, now;
    draw();
    do {
      now = await nextFrame();
      count += 1;
      if (now - last > 1.5 * frame) record.late += Math.round((now - last) / frame) - 1;
      if (performance.now() - now > frame) record.late += 1;  // this one began too late to be drawn in time
      last = now;
    } while (now - began < ms - frame / 2);
    record.ms.push(rounded(now - began, 2));
    record.frames.push(count);
    began = now;
  }
  return {...record, end: began};
}

function geometry() {
  const {perCm, ratio, distance} = person.screen;
  // A page that is zoomed after the card was held up has other pixels to the centimetre.
  const now = perCm * ratio / devicePixelRatio / (window.visualViewport?.scale ?? 1);
  const wanted = 2 * distance * Math.tan(plan.degrees * Math.PI / 360) * now;
  const side = Math.round(Math.max(16, Math.min(wanted, 0.7 * Math.min(innerWidth, innerHeight))));
  return {side, degrees: rounded(2 * Math.atan(side / now / 2 / distance) * 180 / Math.PI, 2)};
}

async function drawn(address, side) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const canvas = element("canvas", {width: side, height: side});
  canvas.getContext("2d").drawImage(image, 0, 0, side, side);
  return canvas;
}

async function present(display, picture, noise, check) {
  const {side, degrees} = geometry(), px = Math.round(side * devicePixelRatio);
  const [image, mask] = await Promise.all([picture, noise].map((address) => address && drawn(address, px)));
  const canvas = element("canvas", {width: px, height: px, "aria-hidden": "true"});
  const pen = canvas.getContext("2d", {alpha: false});
  const draw = (what) => () => {
    Object.assign(pen, {fillStyle: GREY, textAlign: "center", textBaseline: "middle", font: `${px / 6}px sans-serif`});
    pen.fillRect(0, 0, px, px);
    pen.fillStyle = INK;
    if (typeof what === "string") pen.fillText(what, px / 2, px / 2, px);
    else if (what) pen.drawImage(what, 0, 0);
  };
  draw(null)();
  Object.assign(canvas.style, {width: `${side}px`, height: `${side}px`});
  display.replaceChildren(element("div", {class: "stage"}, canvas));
  const shown = check ? {ms: CHECK_MS, draw: draw(word(check))} : {ms: plan.presentation, draw: draw(image)};
  const after = check || plan.mask === "none" ? [] : [{ms: plan.mask_time, draw: draw(mask)}];
  const {ms, frames, late, end} = await flash([{ms: plan.fixation, draw: draw("+")}, shown, ...after]);
  return {frame_ms: rounded(frame, 3), fixation_ms: ms[0], stimulus_ms: ms[1], mask_ms: ms[2] ?? 0, reduced, degrees,
    frames: frames.join("/"), late_frames: late, distance_cm: person.screen.distance, end};
}

let paused = false, rested = 0;

function choose(display, onset, limit) {
  return new Promise((resolve) => {
    const finish = (answer) => {
      clearTimeout(timer);
      document.removeEventListener("keydown", press);
      const rt = answer === "na" ? null : rounded((performance.now() - onset) / 1000, 4);
      resolve(answer && {object_response: answer, rt});
    };
    const pause = () => { paused = true; };
    const press = (event) => {
      const at = CODES.indexOf(event.code), focus = buttons.indexOf(document.activeElement), move = ARROWS[event.code];
      if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.code === "Escape") pause();
      else if (at >= 0) finish(categories[at]);
      else if (move) buttons[focus < 0 ? 0 : Math.min(15, Math.max(0, focus + move))].focus();
      else return;
      event.preventDefault();
    };
    const buttons = categories.map((category, at) => element(
      "button", {type: "button", "data-category": category, onclick: () => finish(category)},
      element("kbd", {"aria-hidden": "true"}, text.keys[at]), element("bdi", {}, text.categories[at]),
    ));
    const named = {class: "answers", role: "group", "aria-label": text.titles.main, tabindex: "-1"};
    const group = element("div", named, ...buttons);
    const rest = element("button", {type: "button", class: "second", onclick: pause}, text.buttons.pause);
    display.replaceChildren(element("div", {class: "stage"}, element("div", {class: "under"}, group, rest)));
    group.focus({preventScroll: true});
    document.addEventListener("keydown", press);
    leave = () => finish(null);
    const timer = limit && setTimeout(() => finish("na"), limit);
  });
}

async function trial(display, {image, mask, check}, example = null) {
  const noise = check || plan.mask === "none" || reduced ? null : plan.noise[mask];
  const {end, ...shown} = await present(display, check ? null : example ?? plan.pictures[image], noise, check);
  if (away) return null;
  const said = await choose(display, end, check ? 0 : plan.answer);
  return said && {...said, ...shown};
}

// --- pages: a form each, which resolves with the button that was pressed

function page(display, title, body, main = text.buttons.next, second = null) {
  return new Promise((resolve) => {
    const heading = element("h1", {tabindex: "-1"}, title);
    const submit = (event) => { event.preventDefault(); resolve(main); };
    const other = {type: "button", class: "second", onclick: () => resolve(second)};
    const buttons = element("p", {}, element("button", {}, main), second && element("button", other, second));
    display.replaceChildren(element("section", {}, heading, element("form", {onsubmit: submit}, ...body, buttons)));
    heading.focus();
  });
}

const paragraph = (line, values = {}) => element("p", {}, fill(line, values));
const numeric = (attributes) => element("input", {type: "number", ...attributes});
const field = (...parts) => element("label", {}, ...parts);

async function consent(display) {
  const words = element("div");
  words.innerHTML = text.consent;  // made of Markdown when the page was built; HTML in it is text
  const agree = field("", element("input", {type: "checkbox", required: ""}), text.agree);
  await page(display, text.titles.consent, [words, agree], text.buttons.start);
}

async function identify(display) {
  const value = 100000 + Math.floor(Math.random() * 900000);
  const number = numeric({min: 1, max: 999999, required: "", value}), age = numeric({min: 1, max: 120});
  const choices = text.eyesights.map((line, at) => element("option", {value: at || ""}, line));
  const eyesight = element("select", {}, ...choices);
  const fields = {number, age, eyesight}, asked = [...(plan.served ? [] : ["number"]), ...plan.about];
  if (asked.length) await page(display, text.titles.main, asked.map((name) => field(text[name], fields[name])));
  const about = Object.fromEntries(plan.about.map((name) => [name, fields[name].value]));
  person = {number: Number(number.value), key: "", about, screen: null};
  while (plan.served && !person.key) {
    try { Object.assign(person, await post("start", {})); }
    catch { await page(display, text.titles.main, [paragraph(text.unreachable)]); }
  }
  write(PERSON, person);
  done = keptAnswers(person);
}

async function welcome(display) {
  const line = paragraph(text.welcome, {number: person.number, done: answered(), count: total});
  const other = text.buttons.other;
  if (await page(display, text.titles.welcome, [line], text.buttons.next, other) === other) [person, done] = [null, {}];
}

async function screenSize(display) {
  const card = element("div", {class: "card"});
  const fit = ({target}) => { card.style.width = `${target.value}px`; };
  const range = {type: "range", min: 100, max: 900, value: 324, "aria-label": text.card, oninput: fit};
  const slider = element("input", range);
  const distance = numeric({min: 20, max: 300, step: "any", required: "", value: 60});
  fit({target: slider});
  await page(display, text.titles.screen, [paragraph(text.card), card, slider, field(text.distance, distance)]);
  person.screen = {perCm: slider.value / CARD_CM, ratio: devicePixelRatio, distance: Number(distance.value)};
  write(PERSON, person);
}

async function measuring(display) {
  display.replaceChildren(element("section", {role: "status"}, paragraph(text.measuring)));
  write(TAB, tab);
  away = false;
  await measure();
  done = {...done, ...keptAnswers(person)};
  [paused, rested] = [false, answered()];
}

async function instructions(display) {
  const limit = fill(text.limit, {seconds: (plan.answer / 1000).toLocaleString(document.documentElement.lang)});
  const checks = plan.checks[0].length ? [text.checks] : [];
  const lines = [...text.instructions, plan.answer ? limit : text.noLimit, ...checks, text.rest];
  const list = element("ol", {}, ...lines.map((line) => element("li", {}, line)));
  const notes = [reduced && text.reduced, !lasting && text.memory].filter(Boolean);
  await page(display, text.titles.instructions, [list, ...notes.map((line) => paragraph(line))]);
}

async function practise(display) {
  let late = 0;
  const {titles, buttons} = text, count = plan.practice.length;
  await page(display, titles.practice, [paragraph(text.practice, {count})], buttons.start);
  for (const [at, [address, category]] of plan.practice.entries()) {
    const said = await trial(display, {mask: at % plan.noise.length}, address);
    if (!said) return;
    late += said.late_frames > 0;
    const right = said.object_response === category, name = fill(text.wrong, {category: word(category)});
    const words = right ? text.right : said.object_response === "na" ? `${text.late} ${name}` : name;
    const line = element("p", {class: "feedback", role: "status"}, `${right ? "✓" : "✗"} ${words}`);
    await page(display, titles.practice, [line]);
  }
  paused = false;
  const slow = late > 2 ? [paragraph(text.slow, {late, count})] : [];
  await page(display, titles.ready, [...slow, paragraph(text.ready, {count: total})], buttons.start);
}

async function onward(display) {
  if (away || paused || answered() - rested >= plan.breakEvery) {
    const line = paragraph(away ? text.elsewhere : text.break, {done: answered(), count: total});
    await page(display, text.titles.break, [line], away ? text.buttons.here : text.buttons.next);
    await measuring(display);
  }
  const item = upcoming(), record = item && await trial(display, item);
  if (record) keep(item.trial, record);
  experiment.progressBar.progress = Math.min(1, answered() / total);
  send();
}

async function thanks(display) {
  const places = agenda().map((item) => item.trial), at = (trial) => places.indexOf(trial.replace(plan.again, ""));
  const trials = Object.keys(done).sort((a, b) => at(a) - at(b) || a.length - b.length);
  const rows = trials.map((name) => row(name, done[name]));
  const quoted = (value) => `"${value.replaceAll('"', '""')}"`;
  const lines = [plan.columns, ...rows.map((values) => plan.columns.map((column) => quoted(values[column])))];
  const files = {csv: lines.map((line) => `${line.join(",")}\n`).join(""), json: JSON.stringify(rows)};
  const links = Object.entries(files).map(([kind, content]) => {
    const download = `${plan.experiment}_${subject()}_session-${plan.session}.${kind}`;
    return element("p", {}, element("a", {href: URL.createObjectURL(new Blob([content])), download}, download));
  });
  const state = element("p", {role: "status"}), offer = element("div", {}, paragraph(text.download), ...links);
  const tell = () => {
    const refused = Object.values(done).filter(({sent}) => sent === "refused").length;
    const count = refused || unsent().length;
    state.textContent = plan.served ? fill(refused ? text.refused : count ? text.waiting : text.sent, {count}) : "";
    offer.hidden = plan.served && !count;
  };
  tell();
  window.addEventListener("ask-sent", tell);
  send();
  const line = paragraph(text.thanks, {number: person.number});
  await page(display, text.titles.thanks, [line, state, offer], text.buttons.again);
  write(PERSON, null);
  location.reload();
}

// --- jsPsych runs it: each step is a trial of the one plugin, each phase a timeline

const {ParameterType, initJsPsych} = jsPsychModule;

class Step {
  static info = {name: "ask", version: "1.0.0", parameters: {run: {type: ParameterType.FUNCTION}}, data: {}};
  constructor(jsPsych) { this.jsPsych = jsPsych; }
  async trial(display, {run}) { await run(display); this.jsPsych.finishTrial({}); }
}

const steps = (when, ...runs) => ({timeline: runs.map((run) => ({type: Step, run})), conditional_function: when});
const experiment = initJsPsych({
  display_element: "ask", show_progress_bar: true, auto_update_progress_bar: false, use_webaudio: false,
  override_safe_mode: true, message_progress_bar: () => `${answered()} / ${total}`,
});
const unfinished = () => upcoming() !== null;
experiment.run([
  steps(() => person !== null, welcome),
  steps(() => person === null, consent, identify),
  steps(() => unfinished() && !person.screen, screenSize),
  steps(unfinished, measuring, instructions),
  steps(() => unfinished() && answered() === 0, practise),
  {...steps(unfinished, onward), loop_function: unfinished},
  steps(() => true, thanks),
]);
send();
})();
