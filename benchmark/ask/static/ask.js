/* The experiment: pages, trials whose frames are counted, answers that are kept here until they have arrived. */
"use strict";
(() => {
const plan = JSON.parse(document.getElementById("plan").textContent), text = plan.text;
// Where keys are on the keyboard, whatever is printed on them: four rows of four, as the answers on the screen.
const CODES = ["Digit1", "Digit2", "Digit3", "Digit4", "KeyQ", "KeyW", "KeyE", "KeyR",
  "KeyA", "KeyS", "KeyD", "KeyF", "KeyZ", "KeyX", "KeyC", "KeyV"];
const CARD_CM = 8.56, CHECK_MS = 1000, BATCH = 50, MOST_WAIT = 30000, GREY = "#808080", INK = "#000000";
const total = plan.images.length, orders = plan.orders.length;
const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches && plan.mask !== "none";

const fill = (line, values) => line.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
const word = (category) => text.categories[plan.categories.indexOf(category)];
const rounded = (value, digits) => Number(value.toFixed(digits));

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

// --- what is kept in the browser: an entry for each answer, written once, so that two tabs never overwrite one another

const memory = {};
let lasting = true;
const PERSON = `ask:${plan.study}:person`, TAB = `ask:${plan.study}:tab`, tab = Math.random();
const place = (number) => `ask:${plan.id}:${number}:`;

function read(key) {
  if (key in memory) return memory[key];
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}

function write(key, value) {
  try { localStorage.setItem(key, JSON.stringify(value)); } catch { memory[key] = value; lasting = false; }
}

function keptAnswers(number) {
  const start = place(number), keys = new Set(Object.keys(memory));
  try { for (let at = 0; at < localStorage.length; at++) keys.add(localStorage.key(at)); } catch { lasting = false; }
  const own = [...keys].filter((key) => key.startsWith(start));
  return Object.fromEntries(own.map((key) => [key.slice(start.length), read(key)]));
}

let person = read(PERSON), done = person ? keptAnswers(person.number) : {}, away = false, leave = () => {};

function keep(trial, record) {
  const key = place(person.number) + trial, before = read(key);  // another tab may have been first
  done[trial] = before ?? record;
  if (!before) write(key, record);
}

window.addEventListener("storage", ({key, newValue}) => {
  if (key === TAB && newValue !== JSON.stringify(tab)) { away = true; leave(); }
  if (person && newValue && key?.startsWith(place(person.number))) {
    done[key.slice(place(person.number).length)] = JSON.parse(newValue);
  }
});

// --- the order of trials: images, attention checks, and once more those with a late frame

function agenda() {
  const order = person.number % orders;
  return plan.orders[order].flatMap((image, at) => {
    const trial = {trial: `${at + 1}`, image, mask: Number(plan.masks[order][at])};
    const check = (at + 1) % plan.checkEvery ? undefined : plan.checks[order][(at + 1) / plan.checkEvery - 1];
    return check ? [trial, {trial: `c${(at + 1) / plan.checkEvery}`, check}] : [trial];
  });
}

function upcoming() {
  const items = agenda(), first = items.find((item) => !done[item.trial]);
  if (first) return first;
  const late = items.find(({trial}) => done[trial].late > 0 && !trial.startsWith("c") && !done[trial + plan.again]);
  return late ? {...late, trial: late.trial + plan.again} : null;
}

const answered = () => Object.keys(done).filter((trial) => /^\d+$/.test(trial)).length;

function row(trial, record) {
  const order = person.number % orders, check = trial.startsWith("c"), at = parseInt(trial.replace("c", ""), 10) - 1;
  const image = check ? ["check", "", plan.checks[order][at], ""] : plan.images[plan.orders[order][at]];
  const mask = check || plan.mask === "none" ? "none" : record.reduced ? "reduced" : plan.masks[order][at];
  const values = {
    subj: subject(), session: plan.session, trial, rt: record.rt ?? "NaN", object_response: record.answer,
    imagename: image[0], condition: image[1], category: image[2], digest: image[3], experiment: plan.experiment,
    set: plan.set, space: plan.space, status: check ? "check" : record.late ? "late" : "ok", mask,
    frame_ms: record.frame, fixation_ms: record.fixation, stimulus_ms: record.stimulus, mask_ms: record.mask,
    frames: record.frames, late_frames: record.late, degrees: record.degrees, distance_cm: record.distance,
    ...person.about,
  };
  return Object.fromEntries(plan.columns.map((name) => [name, String(values[name] ?? "")]));
}

const subject = () => `subject-${String(person.number).padStart(2, "0")}`;

// --- answers on their way to the server: sent again until it says that they are on its disk

const sending = {wait: 1000, busy: false, timer: 0};
const unsent = () => Object.entries(done).filter(([, record]) => !record.sent);

async function post(path, body) {
  const headers = {"Content-Type": "application/json", "X-Ask": new URLSearchParams(location.search).get("token") ?? ""};
  const reply = await fetch(path, {method: "POST", headers, body: JSON.stringify(body)});
  if (!reply.ok) throw new Error(`${reply.status}`);
  return reply.json();
}

async function send() {
  if (!plan.served || !person || sending.busy || !unsent().length) return;
  sending.busy = true;
  clearTimeout(sending.timer);
  try {
    const answers = unsent().slice(0, BATCH).map(([trial, {sent, ...record}]) => ({trial, ...record}));
    const {number, key, about} = person;
    const {stored, refused} = await post("answers", {plan: plan.id, person: number, key, about, answers});
    const places = [...stored.map((trial) => [trial, "stored"]), ...Object.keys(refused).map((trial) => [trial, "refused"])];
    for (const [trial, sent] of places) {
      const record = {...read(place(number) + trial), sent};
      write(place(number) + trial, record);
      if (person?.number === number) done[trial] = record;
    }
    sending.wait = 1000;
  } catch {
    sending.wait = Math.min(2 * sending.wait, MOST_WAIT);
  }
  sending.busy = false;
  window.dispatchEvent(new Event("ask-sent"));
  if (unsent().length) sending.timer = setTimeout(send, sending.wait);
}
window.addEventListener("online", send);

// --- time is counted in frames: what is drawn in one is on the screen until something is drawn in another

let frame = 1000 / 60;

async function measure() {
  const gaps = [];
  await new Promise((resolve) => {
    let last = null;
    const step = (now) => {
      if (last !== null) gaps.push(now - last);
      last = now;
      if (gaps.length < 60) requestAnimationFrame(step); else resolve();
    };
    requestAnimationFrame(step);
  });
  // The lower quartile: a frame that comes late makes a gap longer, nothing makes one shorter.
  frame = gaps.sort((a, b) => a - b)[15];
}

function flash(phases) {
  const record = {ms: [], frames: [], late: 0, end: 0};
  return new Promise((resolve) => {
    let at = -1, began = 0, last = 0, count = 0;
    const step = (now) => {
      if (at >= 0) {
        count += 1;
        if (now - last > 1.5 * frame) record.late += Math.max(1, Math.round((now - last) / frame) - 1);
      }
      if (performance.now() - now > frame) record.late += 1;  // this one began too late to be drawn in time
      if (at < 0 || now - began >= phases[at].ms - frame / 2) {
        if (at >= 0) { record.ms.push(rounded(now - began, 2)); record.frames.push(count); }
        [at, began, count] = [at + 1, now, 0];
        if (at === phases.length) { record.end = now; resolve(record); return; }
        phases[at].draw();
      }
      last = now;
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
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

async function present(display, {picture, noise, check}) {
  const {side, degrees} = geometry(), px = Math.round(side * devicePixelRatio);
  const canvas = element("canvas", {width: px, height: px, "aria-hidden": "true"}), pen = canvas.getContext("2d", {alpha: false});
  const [image, mask] = await Promise.all([picture, noise].map((address) => (address ? drawn(address, px) : null)));
  const clear = () => { pen.fillStyle = GREY; pen.fillRect(0, 0, px, px); };
  const fixation = () => {
    clear();
    pen.fillStyle = INK;
    pen.fillRect(px / 2 - px / 20, px / 2 - px / 200, px / 10, px / 100);
    pen.fillRect(px / 2 - px / 200, px / 2 - px / 20, px / 100, px / 10);
  };
  const said = () => {
    clear();
    pen.fillStyle = INK;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.font = `${Math.round(px / 6)}px system-ui, sans-serif`;
    pen.fillText(word(check), px / 2, px / 2, px);
  };
  clear();
  Object.assign(canvas.style, {width: `${side}px`, height: `${side}px`});
  display.replaceChildren(element("div", {class: "stage"}, canvas));
  const {ms, frames, late, end} = await flash([
    {ms: plan.fixation, draw: fixation},
    check ? {ms: CHECK_MS, draw: said} : {ms: plan.presentation, draw: () => pen.drawImage(image, 0, 0)},
    ...(check || plan.mask === "none" ? [] : [{ms: plan.mask_time, draw: mask ? () => pen.drawImage(mask, 0, 0) : clear}]),
  ]);
  const shown = {frame: rounded(frame, 3), fixation: ms[0], stimulus: ms[1], mask: ms[2] ?? 0, frames: frames.join("/"), late};
  return {...shown, degrees, distance: person.screen.distance, reduced, end};
}

let paused = false;

function choose(display, onset, limit) {
  return new Promise((resolve) => {
    let timer = 0;
    const finish = (answer) => {
      clearTimeout(timer);
      document.removeEventListener("keydown", press);
      leave = () => {};
      resolve(answer && {answer, rt: answer === "na" ? null : rounded((performance.now() - onset) / 1000, 4)});
    };
    const pause = () => { paused = true; };
    const press = (event) => {
      const at = CODES.indexOf(event.code), focus = buttons.indexOf(document.activeElement);
      const move = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -4, ArrowDown: 4}[event.code];
      if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.code === "Escape") pause();
      else if (at >= 0) finish(plan.categories[at]);
      else if (move) buttons[focus < 0 ? 0 : Math.min(15, Math.max(0, focus + move))].focus();
      else return;
      event.preventDefault();
    };
    const buttons = plan.categories.map((category, at) => element(
      "button", {type: "button", "data-category": category, onclick: () => finish(category)},
      element("kbd", {"aria-hidden": "true"}, text.keys[at]), element("bdi", {}, text.categories[at]),
    ));
    const group = element("div", {class: "answers", role: "group", "aria-label": text.question, tabindex: "-1"}, ...buttons);
    const rest = element("button", {type: "button", class: "second", onclick: pause}, text.pause);
    display.replaceChildren(element("div", {class: "stage"}, element("div", {class: "under"}, group, rest)));
    group.focus({preventScroll: true});
    document.addEventListener("keydown", press);
    leave = () => finish(null);
    if (limit) timer = setTimeout(() => finish("na"), limit);
  });
}

async function trial(display, item, example = null) {
  const picture = item.check ? null : example ? example[0] : plan.pictures[item.image];
  const noise = item.check || plan.mask === "none" || reduced ? null : plan.noise[item.mask];
  const {end, ...shown} = await present(display, {picture, noise, check: item.check});
  if (away) return null;
  const said = await choose(display, end, item.check ? 0 : plan.answer);
  return said && {...said, ...shown};
}

// --- pages

/** A page with a form; resolves with the name of the button that was pressed. */
function page(display, title, body, {main = text.next, second = null} = {}) {
  return new Promise((resolve) => {
    const heading = element("h1", {tabindex: "-1"}, title);
    const submit = (event) => { event.preventDefault(); resolve("main"); };
    const other = second && element("button", {type: "button", class: "second", onclick: () => resolve("second")}, second);
    const buttons = element("p", {}, element("button", {type: "submit"}, main), other);
    display.replaceChildren(element("section", {}, heading, element("form", {onsubmit: submit}, ...body, buttons)));
    heading.focus();
  });
}

const paragraph = (line) => element("p", {}, line);

async function consent(display) {
  const words = element("div");
  words.innerHTML = text.consent;  // made of Markdown when the page was built; HTML in it is text
  const agree = element("label", {class: "line"}, element("input", {type: "checkbox", required: true}), text.agree);
  await page(display, text.consentTitle, [words, agree], {main: text.start});
}

async function identify(display) {
  const number = element("input", {type: "number", min: 1, max: 999999, required: true, value: 100000 + Math.floor(Math.random() * 900000)});
  const age = element("input", {type: "number", min: 1, max: 120});
  const eyesight = element("select", {}, ...text.eyesights.map((line, at) => element("option", {value: at || ""}, line)));
  const fields = {age: [text.age, age], eyesight: [text.eyesight, eyesight]};
  const asked = plan.about.map((name) => element("label", {}, ...fields[name]));
  const body = plan.served ? asked : [element("label", {}, text.number, number), paragraph(text.numberHint), ...asked];
  if (body.length) await page(display, text.title, body);
  const about = Object.fromEntries(plan.about.map((name) => [name, fields[name][1].value]));
  person = {number: Number(number.value), key: "", about, screen: null};
  while (plan.served && !person.key) {
    try {
      const {person: own, key} = await post("start", {plan: plan.id});
      Object.assign(person, {number: own, key});
    } catch {
      await page(display, text.title, [paragraph(text.unreachable)]);
    }
  }
  write(PERSON, person);
  done = keptAnswers(person.number);
}

async function welcome(display) {
  const values = {number: person.number, done: answered(), count: total};
  if (await page(display, text.welcomeTitle, [paragraph(fill(text.welcome, values))], {second: text.other}) === "second") {
    person = null;
    done = {};
  }
}

async function screenSize(display) {
  const card = element("div", {class: "card"}), distance = element("input", {type: "number", min: 20, max: 300, step: "any", required: true, value: 60});
  const width = element("input", {type: "range", min: 100, max: 900, value: 324, "aria-label": text.cardLabel});
  const fit = () => { card.style.width = `${width.value}px`; };
  width.addEventListener("input", fit);
  fit();
  const body = [paragraph(text.card), card, width, element("label", {}, text.distance, distance)];
  await page(display, text.screenTitle, body);
  const perCm = card.getBoundingClientRect().width / CARD_CM;
  person.screen = {perCm, ratio: devicePixelRatio, distance: Number(distance.value)};
  write(PERSON, person);
}

async function measuring(display) {
  display.replaceChildren(element("section", {role: "status"}, paragraph(text.measuring)));
  write(TAB, tab);
  away = false;
  await measure();
}

async function instructions(display) {
  const limit = plan.answer ? fill(text.limit, {seconds: (plan.answer / 1000).toLocaleString(document.documentElement.lang)}) : text.noLimit;
  const lines = [...text.instructions, limit, ...(plan.checks[0].length ? [text.checks] : []), text.pauseHint];
  const notes = [...(reduced ? [text.reduced] : []), ...(lasting ? [] : [text.memory])];
  const list = element("ol", {}, ...lines.map((line) => element("li", {}, line)));
  await page(display, text.instructionsTitle, [list, ...notes.map((line) => element("p", {}, element("strong", {}, line)))]);
}

async function practise(display) {
  let late = 0;
  await page(display, text.practiceTitle, [paragraph(fill(text.practice, {count: plan.practice.length}))], {main: text.start});
  for (const [at, example] of plan.practice.entries()) {
    const said = await trial(display, {mask: at % plan.noise.length}, example);
    if (!said) return;
    late += said.late > 0;
    const right = said.answer === example[1], name = fill(text.wrong, {category: word(example[1])});
    const words = right ? text.right : said.answer === "na" ? `${text.late}. ${name}` : name;
    const sign = element("b", {"aria-hidden": "true"}, right ? "✓" : "✗");
    await page(display, text.practiceTitle, [element("p", {class: "feedback", role: "status"}, sign, words)]);
  }
  paused = false;
  const slow = late > 2 ? [paragraph(fill(text.slow, {late, count: plan.practice.length}))] : [];
  await page(display, text.readyTitle, [...slow, paragraph(fill(text.ready, {count: total}))], {main: text.start});
}

let rested = 0;

async function onward(display) {
  const values = () => ({done: answered(), count: total});
  if (away) {
    await page(display, text.title, [paragraph(text.elsewhere)], {main: text.here});
    await measuring(display);
    done = keptAnswers(person.number);
  } else if (paused || answered() - rested >= plan.breakEvery) {
    await page(display, text.breakTitle, [paragraph(fill(text.break, values()))]);
    await measuring(display);
    [paused, rested] = [false, answered()];
  }
  const item = upcoming();
  const record = item && await trial(display, item);
  if (record) keep(item.trial, record);
  experiment.progressBar.progress = Math.min(1, answered() / total);
  send();
}

function saved(name, kind, content) {
  const address = URL.createObjectURL(new Blob([content], {type: kind}));
  return element("a", {href: address, download: name}, name);
}

async function thanks(display) {
  const order = agenda().map(({trial}) => trial), last = (trial) => order.indexOf(trial.replace(plan.again, ""));
  const trials = Object.keys(done).sort((a, b) => last(a) - last(b) || a.length - b.length);
  const rows = trials.map((trial) => row(trial, done[trial])), name = `${plan.experiment}_${subject()}_session-${plan.session}`;
  const quoted = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const csv = [plan.columns, ...rows.map((values) => plan.columns.map((column) => values[column]))];
  const files = [saved(`${name}.csv`, "text/csv", csv.map((line) => line.map(quoted).join(",")).join("\n") + "\n"),
    saved(`${name}.json`, "application/json", JSON.stringify(rows))];
  const state = element("p", {role: "status"});
  const download = element("div", {}, paragraph(text.download), element("p", {}, files[0]), element("p", {}, files[1]));
  const tell = () => {
    const refused = Object.values(done).filter(({sent}) => sent === "refused").length, waiting = unsent().length;
    const line = refused ? text.refused : waiting ? text.waiting : text.sent;
    state.textContent = plan.served ? fill(line, {count: refused || waiting}) : "";
    download.hidden = plan.served && !refused && !waiting;
  };
  tell();
  window.addEventListener("ask-sent", tell);
  send();
  await page(display, text.thanksTitle, [paragraph(fill(text.thanks, {number: person.number})), state, download], {main: text.again});
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

const steps = (...runs) => ({timeline: runs.map((run) => ({type: Step, run}))});
const experiment = initJsPsych({
  display_element: "ask", show_progress_bar: true, auto_update_progress_bar: false, use_webaudio: false,
  override_safe_mode: true, message_progress_bar: () => fill(text.progress, {done: answered(), count: total}),
});
const unfinished = () => upcoming() !== null;
experiment.run([
  {...steps(welcome), conditional_function: () => person !== null},
  {...steps(consent, identify), conditional_function: () => person === null},
  {...steps(screenSize), conditional_function: () => unfinished() && !person.screen},
  {...steps(measuring, instructions), conditional_function: unfinished},
  {...steps(practise), conditional_function: () => unfinished() && answered() === 0},
  {...steps(onward), conditional_function: unfinished, loop_function: unfinished},
  steps(thanks),
]);
})();
