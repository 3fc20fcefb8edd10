/* The experiment: pages, trials whose frames are counted, answers that are kept here until they have arrived. */
"use strict";
(() => {
const plan = JSON.parse(document.getElementById("plan").textContent), {text, categories} = plan;
// Where keys are on the keyboard, whatever is printed on them: four rows of four, as the answers on the screen.
const CODES = "Digit1 Digit2 Digit3 Digit4 KeyQ KeyW KeyE KeyR KeyA KeyS KeyD KeyF KeyZ KeyX KeyC KeyV".split(" ");
const ARROWS = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -4, ArrowDown: 4};
const CARD_CM = 8.56, BATCH = 50, MOST_WAIT = 10000;
// Where the blind spot begins (Li et al. 2020), how often it is looked for, the dot's start and speed, the room it needs.
const SPOT_DEGREES = 13.5, SWEEPS = 5, DOT_CM = 4, DOT_SPEED = 1.5, ROOM_CM = 15;
const [red, green, blue] = [1, 3, 5].map((at) => parseInt(plan.background.slice(at, at + 2), 16));
const INK = red + green + blue < 255 ? "#ffffff" : "#000000";
const total = plan.trials[0].length, tries = plan.practice.length;
const touched = matchMedia("(pointer: coarse), (max-width: 30rem)");  // as in the style
document.documentElement.style.setProperty("--ground", plan.background);
const reduced = matchMedia("(prefers-reduced-motion: reduce)").matches && plan.mask !== "none";

const fill = (line, values) => line.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
const word = (category) => text.categories[categories.indexOf(category)];
const rounded = (value, digits) => Number(value.toFixed(digits));

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const count = (list, holds) => list.filter(holds).length;

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

let person = null, done = {}, away = false, leave = () => {};

function keep(trial, record) {
  const key = place(person.number) + trial, before = read(key);  // another tab may have been first
  done[trial] = before ?? record;
  if (!before) write(key, record);
}

window.addEventListener("storage", ({key, newValue}) => {
  if (key === TAB && newValue !== JSON.stringify(tab)) { away = true; leave(); }
});

// --- who takes part: an id in the address, JATOS's number of the run, or a number that is asked for

const known = {participant: "", number: null};

function hashed(text) {
  let value = 2166136261;
  for (const letter of text) value = Math.imul(value ^ letter.charCodeAt(0), 16777619);
  return 1000000 + (value >>> 0);
}

function recognise() {
  const query = plan.jatos ? jatos.urlQueryParameters : Object.fromEntries(new URLSearchParams(location.search));
  const id = String(query.PROLIFIC_PID ?? query.participant ?? "");
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(id)) known.participant = id;
  if (!plan.served && known.participant) known.number = hashed(known.participant);
  else if (plan.jatos) known.number = Number(jatos.studyResultId);
  person = read(PERSON);
  const other = person && known.participant && person.participant !== known.participant;
  if (other || (known.number && person?.number !== known.number)) person = null;
  done = person ? keptAnswers(person) : {};
}

// --- the order of trials: images, attention checks, and once more those with a late frame

const order = () => person.number % plan.trials.length;

function agenda() {
  return plan.trials[order()].flatMap(([image, mask, ms], at) => {
    const trial = {trial: `${at + 1}`, image, mask, ms}, number = (at + 1) / plan.checkEvery;
    const check = Number.isInteger(number) && plan.checks[order()][number - 1];
    return check ? [trial, {trial: `c${number}`, check, ms: plan.check_time}] : [trial];
  });
}

// Practice has two tries: p1 to p8, and p9 to p16 for those who had too few right.
const example = (at) => ({
  trial: `p${at + 1}`, address: plan.practice[at % tries][0], category: plan.practice[at % tries][1],
  mask: at % plan.noise.length, ms: Math.max(...plan.durations),
});
const examples = (turn) => plan.practice.map((_, at) => example(turn * tries + at));
const tried = (turn) => examples(turn).every(({trial}) => done[trial]);
const right = (turn) => count(examples(turn), ({trial, category}) => done[trial]?.object_response === category);
const admitted = () => answered() > 0 || [0, 1].some((turn) => tried(turn) && right(turn) >= plan.criterion);
const dismissed = () => tried(1) && !admitted();

function upcoming() {
  const items = agenda(), first = items.find((item) => !done[item.trial]);
  const late = items.find(({trial, check}) => done[trial]?.late_frames > 0 && !check && !done[trial + plan.again]);
  return first ?? (late ? {...late, trial: late.trial + plan.again} : null);
}

const answered = () => Object.keys(done).filter((trial) => /^\d+$/.test(trial)).length;
const subject = () => `subject-${String(person.number).padStart(2, "0")}`;

function row(trial, record) {
  const item = trial.startsWith("p") ? example(Number(trial.slice(1)) - 1)
    : agenda().find((planned) => planned.trial === trial.replace(plan.again, ""));
  const {check, address} = item, aside = check ? ["check", "", check, ""] : ["practice", "", item.category, ""];
  const [imagename, condition, category, digest] = check || address ? aside : plan.images[item.image];
  const values = {
    ...record, subj: subject(), session: plan.session, trial, rt: record.rt ?? "NaN", imagename, condition, category,
    digest, experiment: plan.experiment, set: plan.set, space: plan.space, ...person.about,
    status: check ? "check" : address ? "practice" : record.late_frames ? "late" : "ok",
    duration_ms: item.ms, misunderstood: person.misunderstood ?? 0, participant: person.participant ?? "",
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

async function insist(attempt) {
  for (let wait = 1000; ; wait = Math.min(2 * wait, MOST_WAIT)) {
    try { return await attempt(); } catch { await sleep(wait); }
  }
}

let sending = false;

async function send() {
  if (!plan.served || sending) return;
  sending = true;
  while (unsent().length) {
    const {number, key, about, misunderstood} = person, answers = unsent().slice(0, BATCH);
    const given = answers.map(([trial, {sent, ...record}]) => ({trial, ...record}));
    const body = {plan: plan.id, person: number, key, about, misunderstood: misunderstood ?? 0, answers: given};
    const {refused, completion} = await insist(() => post("answers", body));
    for (const [trial, record] of answers) {
      done[trial] = {...record, sent: trial in refused ? "refused" : "stored"};
      write(place(number) + trial, done[trial]);
    }
    if (completion) Object.assign(person, {completion, completed: plan.id});
    write(PERSON, person);
    window.dispatchEvent(new Event("ask-sent"));
  }
  sending = false;
}

// To JATOS (JSON, a line a trial, so that several people's answers are one table) or DataPipe (a CSV file a person).
async function deliver({csv, lines}, filename) {
  if (person.delivered === plan.id) return;
  const body = JSON.stringify({experimentID: plan.pipeId, filename, data: csv});
  const headers = {"Content-Type": "application/json", Accept: "*/*"};
  await insist(async () => {
    if (plan.jatos) return jatos.submitResultData(lines);
    const reply = await fetch(plan.pipe, {method: "POST", headers, body});
    // The file's name has this person's own letters: if it exists, an earlier reply was lost.
    if (!reply.ok && (await reply.json()).error !== "OSF_FILE_EXISTS") throw new Error(`${reply.status}`);
    return null;
  });
  person.delivered = plan.id;
  write(PERSON, person);
  window.dispatchEvent(new Event("ask-sent"));
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

// CSS pixels to the centimetre; a page that is zoomed after the card was held up has others.
const density = ({perCm, ratio}) => perCm * ratio / devicePixelRatio / (window.visualViewport?.scale ?? 1);

function geometry() {
  const {distance} = person.screen, now = density(person.screen);
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

async function present(display, picture, noise, {check, ms: time}) {
  const {side, degrees} = geometry(), px = Math.round(side * devicePixelRatio);
  const [image, mask] = await Promise.all([picture, noise].map((address) => address && drawn(address, px)));
  const canvas = element("canvas", {width: px, height: px, "aria-hidden": "true"});
  const pen = canvas.getContext("2d", {alpha: false});
  const draw = (what) => () => {
    Object.assign(pen, {fillStyle: plan.background, textAlign: "center", textBaseline: "middle", font: `${px / 6}px sans-serif`});
    pen.fillRect(0, 0, px, px);
    pen.fillStyle = INK;
    if (typeof what === "string") pen.fillText(what, px / 2, px / 2, px);
    else if (what) pen.drawImage(what, 0, 0);
  };
  draw(null)();
  Object.assign(canvas.style, {width: `${side}px`, height: `${side}px`});
  display.replaceChildren(element("div", {class: "stage"}, canvas));
  const shown = {ms: time, draw: draw(check ? word(check) : image)};
  const after = check || plan.mask === "none" ? [] : [{ms: plan.mask_time, draw: draw(mask)}];
  const {ms, frames, late, end} = await flash([{ms: plan.fixation, draw: draw("+")}, shown, ...after]);
  return {frame_ms: rounded(frame, 3), fixation_ms: ms[0], stimulus_ms: ms[1], mask_ms: ms[2] ?? 0, reduced, degrees,
    frames: frames.join("/"), late_frames: late, distance_cm: person.screen.distance,
    distance_by: person.screen.by ?? "stated", screen: document.fullscreenElement ? "full" : "window", end};
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
      else if (categories[at]) finish(categories[at]);
      else if (move) buttons[focus < 0 ? 0 : Math.min(buttons.length - 1, Math.max(0, focus + move))].focus();
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
    if (buttons.some((button) => button.scrollWidth > button.clientWidth)) group.classList.add("wide");
    group.focus({preventScroll: true});
    document.addEventListener("keydown", press);
    leave = () => finish(null);
    const timer = limit && setTimeout(() => finish("na"), limit);
  });
}

async function trial(display, item) {
  const {image, mask, check, address} = item;
  const noise = check || plan.mask === "none" || reduced ? null : plan.noise[mask];
  const {end, ...shown} = await present(display, check ? null : address ?? plan.pictures[image], noise, item);
  if (away) return null;
  const said = await choose(display, end, check ? 0 : plan.answer);
  return said && {...said, ...shown};
}

async function fullScreen() {
  try { if (!document.fullscreenElement) await document.documentElement.requestFullscreen({navigationUI: "hide"}); }
  catch { /* a phone without it, or a person who refuses: every trial says which it was */ }
}
document.addEventListener("fullscreenchange", () => { paused = paused || !document.fullscreenElement; });

// --- pages: a form each, which resolves with the button that was pressed

function page(display, title, body, main = text.buttons.next, second = null) {
  return new Promise((resolve) => {
    const heading = element("h1", {tabindex: "-1"}, title);
    const submit = (event) => { event.preventDefault(); resolve(main); };
    const other = {type: "button", class: "second", onclick: () => resolve(second)};
    const buttons = element("p", {}, main && element("button", {}, main), second && element("button", other, second));
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
  const fields = {number, age, eyesight}, asked = [...(plan.served || known.number ? [] : ["number"]), ...plan.about];
  if (asked.length) await page(display, text.titles.main, asked.map((name) => field(text[name], fields[name])));
  const about = Object.fromEntries(plan.about.map((name) => [name, fields[name].value]));
  const letters = Math.random().toString(36).slice(2, 8), {participant} = known;
  person = {number: known.number ?? Number(number.value), key: "", about, screen: null, participant, letters};
  while (plan.served && !person.key) {
    try { Object.assign(person, await post("start", {participant})); }
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
  fit({target: slider});
  await fullScreen();
  await page(display, text.titles.screen, [paragraph(text.card), card, slider]);
  person.screen = await distance(display, {perCm: slider.value / CARD_CM, ratio: devicePixelRatio});
  write(PERSON, person);
}

// One passage of the dot, which moves left from the square that the left eye looks at: their distance when it vanishes.
async function sweep(display, perCm, left) {
  const [square, dot] = ["square", "dot"].map((name) => element("div", {class: name}));
  const field = element("div", {class: "spot", role: "img", "aria-label": text.titles.spot}, square, dot);
  display.replaceChildren(element("section", {class: "full"}, field, paragraph(text.sweeps, {left})));
  for (const node of [square, dot]) Object.assign(node.style, {width: `${0.7 * perCm}px`, height: `${0.7 * perCm}px`});
  const room = field.clientWidth - 2 * perCm, began = await nextFrame();
  let pressed = false, offset = 0;
  const press = (event) => {
    if (event.repeat || (event.type === "keydown" && event.code !== "Space")) return;
    event.preventDefault();
    pressed = true;
  };
  for (const kind of ["keydown", "pointerdown"]) document.addEventListener(kind, press);
  while (!pressed) {
    const moved = DOT_SPEED * perCm * (await nextFrame() - began) / 1000;
    if (pressed) break;  // it was where it had been drawn
    offset = DOT_CM * perCm + moved % (room - DOT_CM * perCm);
    dot.style.transform = `translateX(${-offset}px)`;
  }
  for (const kind of ["keydown", "pointerdown"]) document.removeEventListener(kind, press);
  return offset;
}

async function distance(display, screen) {
  const {titles, buttons} = text, perCm = density(screen), offsets = [];
  const how = element("ol", {}, ...text.spot.map((line) => element("li", {}, line)));
  const wide = innerWidth / perCm >= ROOM_CM;
  if (wide && await page(display, titles.spot, [how], buttons.start, buttons.skip) === buttons.start) {
    for (let left = SWEEPS; left; left -= 1) offsets.push(await sweep(display, perCm, left));
  }
  const middle = offsets.sort((a, b) => a - b)[(SWEEPS - 1) / 2], measured = middle !== undefined;
  const value = measured ? rounded(middle / perCm / Math.tan(SPOT_DEGREES * Math.PI / 180), 1) : touched.matches ? 30 : 60;
  const input = numeric({min: 10, max: 300, step: "any", required: "", value});
  const again = measured ? buttons.remeasure : null, ask = field(measured ? text.measured : text.distance, input);
  if (await page(display, titles.spot, [ask], buttons.next, again) === again && again) return distance(display, screen);
  return {...screen, distance: Number(input.value), by: measured && Number(input.value) === value ? "blind spot" : "stated"};
}

async function measuring(display) {
  await fullScreen();
  display.replaceChildren(element("section", {role: "status"}, paragraph(text.measuring)));
  write(TAB, tab);
  away = false;
  await measure();
  done = {...done, ...keptAnswers(person)};
  [paused, rested] = [false, answered()];
}

function howTo() {
  const limit = fill(text.limit, {seconds: (plan.answer / 1000).toLocaleString(document.documentElement.lang)});
  const checks = plan.checks[0].length ? [text.checks] : [];
  const touch = touched.matches, steps = text.instructions.map((line, at) => (touch && at === 2 ? text.touch : line));
  const lines = [...steps, plan.answer ? limit : text.noLimit, ...checks, touch ? text.touchRest : text.rest];
  return element("ol", {}, ...lines.map((line) => element("li", {}, line)));
}

async function instructions(display) {
  const notes = [reduced && text.reduced, !lasting && text.memory].filter(Boolean);
  await page(display, text.titles.instructions, [howTo(), ...notes.map((line) => paragraph(line))]);
}

async function question(display) {
  const {ask, right: answer, wrong} = text.question, lines = [answer, ...wrong];
  for (let turn = person.number; ; turn += 1) {
    const turned = lines.map((_, at) => lines[(at + turn) % lines.length]);
    const buttons = turned.map((line) => element("input", {type: "radio", name: "answer", value: line, required: ""}));
    const fields = buttons.map((button, at) => field(button, turned[at]));
    const body = element("fieldset", {}, element("legend", {}, ask), ...fields);
    await page(display, text.titles.question, [body]);
    if (buttons.find((button) => button.checked).value === answer) return;
    person.misunderstood = (person.misunderstood ?? 0) + 1;
    write(PERSON, person);
    await page(display, text.titles.instructions, [paragraph(text.misunderstood), howTo()]);
  }
}

async function practise(display) {
  const {titles, buttons} = text, given = {count: tries, criterion: plan.criterion};
  for (const turn of [0, 1].filter(() => !admitted())) {
    if (admitted()) break;
    const line = paragraph(turn ? text.practiceAgain : text.practice, {...given, right: right(0)});
    await page(display, titles.practice, [line], buttons.start);
    for (const item of examples(turn).filter(({trial: name}) => !done[name])) await practice(display, item);
  }
  paused = false;
  send();
  if (dismissed()) return;
  const late = count([...examples(0), ...examples(1)], ({trial: name}) => done[name]?.late_frames > 0);
  const slow = late > 2 ? [paragraph(text.slow, {late, count: tries})] : [];
  await page(display, titles.ready, [...slow, paragraph(text.ready, {count: total})], buttons.start);
}

async function practice(display, item) {
  let said = null;
  for (; !said; said = await trial(display, item)) if (away) await rest(display);
  keep(item.trial, said);
  const name = fill(text.wrong, {category: word(item.category)}), correct = said.object_response === item.category;
  const words = correct ? text.right : said.object_response === "na" ? `${text.late} ${name}` : name;
  const line = element("p", {class: "feedback", role: "status"}, `${correct ? "✓" : "✗"} ${words}`);
  await page(display, text.titles.practice, [line]);
}

async function rest(display) {
  const line = paragraph(away ? text.elsewhere : text.break, {done: answered(), count: total});
  await page(display, text.titles.break, [line], away ? text.buttons.here : text.buttons.next);
  await measuring(display);
}

async function onward(display) {
  if (away || paused || answered() - rested >= plan.breakEvery) {
    // So that those who leave have left something; the end sends it again.
    if (plan.jatos) Promise.resolve(jatos.submitResultData(files().lines)).catch(() => {});
    await rest(display);
  }
  const item = upcoming(), record = item && await trial(display, item);
  if (record) keep(item.trial, record);
  experiment.progressBar.progress = Math.min(1, answered() / total);
  send();
}

// --- the end: one's own result, the answers on their way or to be saved, and what the person is paid for

function files() {
  const places = agenda().map((item) => item.trial), at = (trial) => places.indexOf(trial.replace(plan.again, ""));
  const trials = Object.keys(done).sort((a, b) => at(a) - at(b) || a.length - b.length || (a < b ? -1 : 1));
  const rows = trials.map((name) => row(name, done[name]));
  const quoted = (value) => `"${value.replaceAll('"', '""')}"`;
  const lines = [plan.columns, ...rows.map((values) => plan.columns.map((column) => quoted(values[column])))];
  const csv = lines.map((line) => `${line.join(",")}\n`).join("");
  return {csv, json: JSON.stringify(rows), lines: rows.map((values) => `${JSON.stringify(values)}\n`).join("")};
}

function debrief() {
  const words = element("div");
  words.innerHTML = text.debrief;  // as the consent form
  const shown = agenda().filter(({trial: name, check}) => done[name] && !check), said = ({trial: name}) => done[name];
  const hits = (list, named) => count(list, (item) => said(item).object_response === named(item));
  const shape = ({image}) => plan.images[image][2], texture = ({image}) => plan.textures[image];
  const values = {count: shown.length, right: hits(shown, shape), guessed: Math.round(shown.length / categories.length)};
  const cues = {shape: values.right, texture: hits(shown, texture), count: shown.length};
  const main = plan.textures.length ? paragraph(text.resultCues, cues) : paragraph(text.result, values);
  const times = plan.durations.length < 2 ? [] : plan.durations.map((ms) => {
    const some = shown.filter((item) => item.ms === ms);
    return paragraph(text.resultTime, {ms, right: hits(some, shape), count: some.length});
  });
  return [words, main, ...times];
}

async function thanks(display) {
  const made = files(), ended = dismissed(), {titles, buttons} = text, external = plan.jatos || Boolean(plan.pipe);
  const name = `${plan.experiment}_${subject()}_session-${plan.session}`;
  const links = ["csv", "json"].map((kind) => {
    const href = URL.createObjectURL(new Blob([made[kind]]));
    return element("p", {}, element("a", {href, download: `${name}.${kind}`}, `${name}.${kind}`));
  });
  const state = element("p", {role: "status"}), offer = element("div", {}, paragraph(text.download), ...links);
  const paid = element("p", {class: "paid", hidden: ""});
  const tell = () => {
    const refused = count(Object.values(done), ({sent}) => sent === "refused");
    const waiting = external && person.delivered !== plan.id ? Object.keys(done).length : plan.served ? unsent().length : 0;
    const line = refused ? text.refused : waiting ? text.waiting : text.sent;
    state.textContent = plan.served || external ? fill(line, {count: refused || waiting}) : "";
    offer.hidden = (plan.served || external) && !refused && !waiting;
    const code = plan.completion || (person.completed === plan.id ? person.completion : "");
    if (!code || ended || refused || waiting || !paid.hidden) return;
    paid.hidden = false;
    if (!code.startsWith("https://")) paid.append(text.completion, " ", element("strong", {}, code));
    else if (!plan.jatos) paid.append(element("a", {class: "button", href: code}, buttons.finish));
  };
  tell();
  window.addEventListener("ask-sent", tell);
  send();
  if (external) deliver(made, `${name}_${person.letters}.csv`);
  if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  const values = {number: person.number, right: right(1), count: tries, criterion: plan.criterion};
  const own = ended ? [paragraph(text.dismissed, values)] : [paragraph(text.thanks, values), ...debrief()];
  const main = plan.jatos ? buttons.finish : known.participant ? null : buttons.again;
  await page(display, ended ? titles.dismissed : titles.thanks, [...own, state, offer, paid], main);
  if (plan.jatos) {
    while (person.delivered !== plan.id) await sleep(200);
    return jatos.endStudy();
  }
  write(PERSON, null);
  return location.reload();
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
const unfinished = () => upcoming() !== null && !dismissed();
const begin = () => {
  recognise();
  experiment.run([
    steps(() => person !== null, welcome),
    steps(() => person === null, consent, identify),
    steps(() => unfinished() && !person.screen, screenSize),
    steps(unfinished, measuring, instructions),
    steps(() => unfinished() && !admitted(), question, practise),
    {...steps(unfinished, onward), loop_function: unfinished},
    steps(() => true, thanks),
  ]);
  if (person) send();
};
if (plan.jatos) jatos.onLoad(begin); else begin();
})();
