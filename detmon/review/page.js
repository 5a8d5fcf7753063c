"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const SVG = "http://www.w3.org/2000/svg";
  const WORDS = {
    open: ["?", "not judged"], correct: ["✓", "correct"], wrong_label: ["≠", "wrong label"], wrong_box: ["▭", "wrong box"],
    false_positive: ["✕", "nothing there"], missed_object: ["+", "missed"],
  };
  const STORE = "detmon-review:" + data.dataset + ":";
  const CLICK = 4; // pixels that a pointer may wander while it clicks
  const $ = (id) => document.getElementById(id);
  const stage = $("stage");

  let place = 0; // of the image that is shown
  let chosen = null; // {index} a box of the model, or {missed} an object that was drawn
  let mode = null; // "draw" a missed object, "redraw" the chosen box
  let size = [1, 1];
  let lastLabel = data.labels[0] || "";
  let kept = true;
  const states = new Map();
  const undone = [];

  // --- what was said, kept by the browser ---

  function load(key) {
    try {
      return localStorage.getItem(STORE + key);
    } catch {
      kept = false;
      return null;
    }
  }

  function save(key, value) {
    try {
      localStorage.setItem(STORE + key, value);
    } catch {
      kept = false;
    }
  }

  function stateOf(item) {
    if (!states.has(item.id)) {
      let found = null;
      try {
        found = JSON.parse(load(item.id));
      } catch { /* not ours: begin anew */ }
      states.set(item.id, found && found.verdicts && found.missed ? found : { verdicts: {}, missed: [], done: false, at: null });
    }
    return states.get(item.id);
  }

  const item = () => data.items[place];
  const state = () => stateOf(item());

  function change(make) {
    undone.push([place, JSON.stringify(state())]);
    make(state());
    state().at = new Date().toISOString();
    save(item().id, JSON.stringify(state()));
    draw();
  }

  function undo() {
    const last = undone.pop();
    if (!last) return say("Nothing to undo");
    if (last[0] !== place) show(last[0]);
    const before = JSON.parse(last[1]);
    if (before.at) before.at = new Date().toISOString(); // a newer version, that says the same as an older one
    states.set(item().id, before);
    save(item().id, JSON.stringify(before));
    choose(null);
    say("Undone");
  }

  // --- verdicts ---

  const boxOf = (index) => item().boxes.find((box) => box.index === index);
  const typeOf = (index) => (state().verdicts[index] || { type: "open" }).type;
  const round = (xywh) => xywh.map((side) => Math.round(side * 10) / 10);

  function judge(type) {
    mode = null;
    if (type === "missed_object") {
      choose(null);
      mode = "draw";
      draw();
      return say("Draw the object; Enter puts a box into the middle");
    }
    if (!chosen || chosen.index === undefined) return say("Choose a box first: ↓, or click it");
    const index = chosen.index;
    if (type === "wrong_label") {
      $("label").focus();
      $("label").select();
      return say("Type or choose the true label, then Enter");
    }
    change((now) => {
      now.verdicts[index] = { type };
      reopen(now);
    });
    if (type === "wrong_box") {
      mode = "redraw";
      draw();
      return say("Draw the true box, or drag its corners");
    }
    step(1);
  }

  function reopen(now) {
    now.done = now.done && item().boxes.every((box) => now.verdicts[box.index]);
  }

  function relabel() {
    const label = $("label").value.trim();
    if (!label) return;
    if (!chosen) return say("Choose a box first: ↓, or click it");
    lastLabel = label;
    if (chosen.missed !== undefined) {
      const number = chosen.missed;
      change((now) => { now.missed[number].label = label; });
      return say("Missed object: " + label);
    }
    const box = boxOf(chosen.index);
    if (label === box.label) return say("That is the label of the model");
    change((now) => {
      now.verdicts[box.index] = { ...now.verdicts[box.index], type: "wrong_label", label };
      reopen(now);
    });
    stage.focus();
    step(1);
  }

  function reshape(xywh) {
    const box = round(xywh);
    if (chosen.missed !== undefined) {
      const number = chosen.missed;
      return change((now) => { now.missed[number].box = box; });
    }
    const index = chosen.index;
    change((now) => {
      const said = now.verdicts[index];
      now.verdicts[index] = said && said.type === "wrong_label" ? { ...said, box } : { type: "wrong_box", box };
      reopen(now);
    });
  }

  function add(xywh) {
    mode = null;
    change((now) => { now.missed.push({ label: lastLabel, box: round(xywh) }); });
    choose({ missed: state().missed.length - 1 });
    $("label").focus();
    $("label").select();
    say("Missed object: its label, then Enter");
  }

  function clear() {
    if (!chosen) return say("Choose a box first: ↓, or click it");
    const it = chosen;
    change((now) => {
      if (it.missed !== undefined) now.missed.splice(it.missed, 1);
      else delete now.verdicts[it.index];
      reopen(now);
    });
    choose(it.missed !== undefined ? null : it);
  }

  function finish() {
    change((now) => {
      for (const box of item().boxes) now.verdicts[box.index] = now.verdicts[box.index] || { type: "correct" };
      now.done = true;
    });
    const others = data.items.map((_, n) => (place + 1 + n) % data.items.length);
    const open = others.find((n) => !stateOf(data.items[n]).done);
    if (open === undefined) return say("All images are reviewed: download the verdicts");
    show(open);
  }

  // --- the file ---

  function rows() {
    const found = [];
    for (const one of data.items) {
      const said = stateOf(one);
      if (!said.done) continue;
      const about = { prediction_id: one.prediction_id };
      const told = { scope: "exhaustive", timestamp: said.at };
      if ($("reviewer").value.trim()) told.reviewer = $("reviewer").value.trim();
      for (const box of one.boxes) {
        const verdict = said.verdicts[box.index];
        const row = { ...about, detection_index: box.index, feedback_type: verdict.type };
        if (verdict.label) row.true_label = verdict.label;
        if (verdict.box) row.bbox = verdict.box;
        found.push({ ...row, ...told });
      }
      for (const object of said.missed) {
        found.push({ ...about, feedback_type: "missed_object", true_label: object.label, bbox: object.box, ...told });
      }
      // of an image whose only box was not shown, a word on the whole image would be one on that box
      if (!one.boxes.length && !said.missed.length && one.hidden !== 1) found.push({ ...about, feedback_type: "correct", ...told });
    }
    return found;
  }

  function download() {
    const found = rows();
    if (!found.length) return say("No image is reviewed yet: Enter ends one");
    const text = found.map((row) => JSON.stringify(row) + "\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/x-ndjson" }));
    link.download = data.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    const begun = data.items.filter((one) => !stateOf(one).done && stateOf(one).at).length;
    say(data.file + " has " + found.length + " verdicts" + (begun ? "; " + begun + " images are begun, and not in it" : ""));
  }

  // --- what is shown ---

  function say(text) {
    $("status").textContent = text + (kept ? "" : " (this browser keeps nothing: download before you leave)");
  }

  function element(name, attributes, parent) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (parent) parent.append(made);
    return made;
  }

  function show(number) {
    place = Math.min(Math.max(number, 0), data.items.length - 1);
    save("place", item().id);
    mode = null;
    const shown = item();
    const extent = (at, length) => Math.max(1, ...shown.boxes.map((box) => box.xywh[at] + box.xywh[length]));
    size = shown.size || [extent(0, 2), extent(1, 3)];
    $("broken").hidden = true;
    const picture = new Image();
    picture.onload = () => {
      if (shown !== item() || shown.size) return;
      size = [picture.naturalWidth, picture.naturalHeight];
      draw();
    };
    picture.onerror = () => {
      if (shown !== item()) return;
      $("broken").textContent = "The image cannot be opened: " + shown.src;
      $("broken").hidden = false;
    };
    picture.src = shown.src;
    const first = shown.boxes.find((box) => !state().verdicts[box.index]);
    choose(first ? { index: first.index } : null);
  }

  function choices() {
    return [...item().boxes.map((box) => ({ index: box.index })), ...state().missed.map((_, missed) => ({ missed }))];
  }

  const same = (one, other) => one && other && one.index === other.index && one.missed === other.missed;

  function step(by) {
    const all = choices();
    if (!all.length) return;
    const now = all.findIndex((one) => same(one, chosen));
    choose(all[Math.min(Math.max(now + by, 0), all.length - 1)]);
  }

  function choose(one) {
    chosen = one;
    mode = null;
    draw();
    if (!one) return;
    const all = choices();
    const said = described(one);
    say("Box " + (all.findIndex((other) => same(other, one)) + 1) + " of " + all.length + ", " + said.name + ": " + said.text);
  }

  function described(one) {
    if (one.missed !== undefined) {
      const object = state().missed[one.missed];
      return { type: "missed_object", name: object.label, text: WORDS.missed_object[1], xywh: object.box };
    }
    const box = boxOf(one.index);
    const verdict = state().verdicts[one.index] || { type: "open" };
    const score = box.score === null ? "" : " " + box.score.toFixed(2);
    const more = verdict.label ? ": " + verdict.label : verdict.type === "wrong_box" && !verdict.box ? ", no true box yet" : "";
    return {
      type: verdict.type, name: box.label + score, text: WORDS[verdict.type][1] + more, xywh: verdict.box || box.xywh,
      was: verdict.box ? box.xywh : null,
    };
  }

  function draw() {
    const shown = item();
    stage.setAttribute("viewBox", "0 0 " + size[0] + " " + size[1]);
    stage.setAttribute("preserveAspectRatio", "xMidYMid meet");
    stage.classList.toggle("drawing", mode !== null);
    let picture = stage.querySelector("image");
    if (!picture || picture.getAttribute("href") !== shown.src) {
      if (picture) picture.remove();
      picture = element("image", { href: shown.src, x: 0, y: 0, preserveAspectRatio: "none" });
      stage.prepend(picture);
    }
    picture.setAttribute("width", size[0]);
    picture.setAttribute("height", size[1]);
    for (const old of stage.querySelectorAll(".box, #band")) old.remove();
    const area = (one) => described(one).xywh[2] * described(one).xywh[3];
    for (const one of choices().sort((a, b) => area(b) - area(a))) drawBox(one);
    list();
    $("about").replaceChildren();
    const title = document.createElement("strong");
    title.textContent = shown.image;
    $("about").append(title, [shown.model, ...shown.reasons].join(" · "));
    $("place").textContent = place + 1 + " / " + data.items.length + (state().done ? " ✓ reviewed" : "");
    const done = data.items.filter((one) => stateOf(one).done).length;
    $("progress").max = data.items.length;
    $("progress").value = done;
    $("count").textContent = done + " of " + data.items.length + " reviewed";
    $("previous").disabled = place === 0;
    $("next").disabled = place === data.items.length - 1;
    const open = shown.boxes.filter((box) => !state().verdicts[box.index]).length;
    const nothing = shown.boxes.length || state().missed.length ? "Done, next" : "Nothing there, next";
    $("finishing").textContent = open ? "Rest is right, next" : nothing;
    $("label").value = !chosen ? "" : chosen.missed !== undefined ? state().missed[chosen.missed].label
      : (state().verdicts[chosen.index] || {}).label || boxOf(chosen.index).label;
    for (const button of document.querySelectorAll("[data-type]")) {
      const type = chosen && chosen.index !== undefined ? typeOf(chosen.index) : mode === "draw" ? "missed_object" : null;
      button.setAttribute("aria-pressed", String(button.dataset.type === type));
    }
  }

  const scale = () => {
    const frame = stage.getBoundingClientRect();
    return 1 / Math.min(frame.width / size[0], frame.height / size[1]) || 1;
  };

  function drawBox(one) {
    const it = described(one);
    const [x, y, width, height] = it.xywh;
    const on = same(one, chosen);
    const group = element("g", { class: "box " + it.type + (on ? " chosen" : "") }, stage);
    group.dataset.one = JSON.stringify(one);
    if (it.was) element("rect", { class: "was", x: it.was[0], y: it.was[1], width: it.was[2], height: it.was[3] }, group);
    element("rect", { class: "shape", x, y, width, height }, group);
    const letter = 13 * scale();
    const text = element("text", { "font-size": letter, y: Math.max(y - letter * 0.75, letter) }, group);
    text.textContent = WORDS[it.type][0] + " " + it.name;
    const space = text.getBBox();
    const left = Math.max(0, Math.min(x, size[0] - space.width - letter * 0.6));
    text.setAttribute("x", left + letter * 0.3);
    const plate = { class: "name", x: left, y: space.y, width: space.width + letter * 0.6, height: space.height };
    group.insertBefore(element("rect", plate), text);
    if (!on) return;
    for (const [across, down] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
      const half = 5 * scale();
      const corner = { class: "handle", x: x + across * width - half, y: y + down * height - half, width: 2 * half, height: 2 * half };
      element("rect", corner, group).dataset.corner = across + "" + down;
    }
  }

  function list() {
    $("boxes").replaceChildren();
    for (const one of choices()) {
      const it = described(one);
      const button = document.createElement("button");
      for (const [kind, text] of [["mark " + it.type, WORDS[it.type][0]], ["name", it.name], ["said", it.text]]) {
        const part = document.createElement("span");
        part.className = kind;
        part.textContent = text;
        button.append(part);
      }
      button.firstChild.setAttribute("aria-hidden", "true");
      button.setAttribute("aria-current", String(same(one, chosen)));
      button.onclick = () => choose(one);
      const row = document.createElement("li");
      row.append(button);
      $("boxes").append(row);
    }
  }

  // --- the mouse ---

  function at(event) {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(stage.getScreenCTM().inverse());
    return [Math.min(Math.max(point.x, 0), size[0]), Math.min(Math.max(point.y, 0), size[1])];
  }

  const between = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];

  function moved(xywh, dx, dy) {
    const keep = (from, length, whole) => Math.max(0, Math.min(from, whole - length));
    return [keep(xywh[0] + dx, xywh[2], size[0]), keep(xywh[1] + dy, xywh[3], size[1]), xywh[2], xywh[3]];
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const start = at(event);
    const group = mode ? null : event.target.closest(".box");
    const one = group ? JSON.parse(group.dataset.one) : null;
    const corner = event.target.dataset.corner;
    const held = one && same(one, chosen) ? described(one).xywh : null;
    let now = null;
    const shape = (point) => {
      if (!held) return between(start, point);
      if (corner === undefined) return moved(held, point[0] - start[0], point[1] - start[1]);
      return between([held[0] + (corner[0] === "0" ? held[2] : 0), held[1] + (corner[1] === "0" ? held[3] : 0)], point);
    };
    const follow = (next) => {
      const far = Math.hypot(next.clientX - event.clientX, next.clientY - event.clientY) > CLICK;
      if ((!far && !now) || (one && !held)) return;
      now = shape(at(next));
      const band = stage.querySelector("#band") || element("rect", { id: "band" }, stage);
      for (const [key, value] of Object.entries({ x: now[0], y: now[1], width: now[2], height: now[3] })) band.setAttribute(key, value);
    };
    const end = (last) => {
      stage.removeEventListener("pointermove", follow);
      stage.removeEventListener("pointerup", end);
      stage.removeEventListener("pointercancel", end);
      const large = now && Math.min(now[2], now[3]) > CLICK * scale();
      if (last.type === "pointercancel" || (now && !large)) return draw();
      if (!now) return choose(one);
      if (held || mode === "redraw") {
        mode = null;
        return reshape(now);
      }
      add(now);
    };
    stage.setPointerCapture(event.pointerId);
    stage.addEventListener("pointermove", follow);
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
    event.preventDefault();
    if (document.activeElement) document.activeElement.blur();
  });

  // --- the keyboard ---

  function arrows(event) {
    if (!chosen) return say("Choose a box first: ↓, or click it");
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const by = Math.max(size[0], size[1]) / 200;
    const now = described(chosen).xywh;
    if (!event.altKey) return reshape(moved(now, dx * by, dy * by));
    reshape([now[0], now[1], Math.min(Math.max(by, now[2] + dx * by), size[0] - now[0]), Math.min(Math.max(by, now[3] + dy * by), size[1] - now[1])]);
  }

  const KEYS = {
    1: () => judge("correct"), 2: () => judge("wrong_label"), 3: () => judge("wrong_box"), 4: () => judge("false_positive"),
    5: () => judge("missed_object"), z: undo, s: download, Delete: clear, Backspace: clear,
    ArrowLeft: () => show(place - 1), ArrowRight: () => show(place + 1), ArrowUp: () => step(-1), ArrowDown: () => step(1),
    Enter: () => (mode === "draw" ? add([size[0] * 0.4, size[1] * 0.4, size[0] * 0.2, size[1] * 0.2]) : finish()),
    Escape: () => choose(null),
  };

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (target.tagName === "INPUT") {
      if (event.key === "Enter") {
        if (target.id === "label") relabel();
        target.blur();
      } else if (event.key === "Escape") {
        target.blur();
        draw();
      }
      return;
    }
    const pressed = (target.tagName === "BUTTON" || target.tagName === "SUMMARY") && (event.key === "Enter" || event.key === " ");
    const undoing = (event.ctrlKey || event.metaKey) && event.key === "z";
    if (pressed || ((event.ctrlKey || event.metaKey) && !undoing)) return;
    const shifted = event.shiftKey && event.key.startsWith("Arrow");
    const act = shifted ? () => arrows(event) : KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || (event.altKey && !shifted)) return;
    event.preventDefault();
    act();
  });

  $("label").addEventListener("change", () => { if (chosen && document.activeElement !== $("label")) relabel(); });
  $("reviewer").addEventListener("change", () => save("reviewer", $("reviewer").value));
  for (const button of document.querySelectorAll("[data-type]")) button.onclick = () => judge(button.dataset.type);
  for (const [id, act] of Object.entries({ undo, remove: clear, finish, download })) $(id).onclick = act;
  $("previous").onclick = () => show(place - 1);
  $("next").onclick = () => show(place + 1);
  window.addEventListener("resize", () => { if (data.items.length) draw(); });

  if (!data.items.length) {
    $("broken").textContent = "There is nothing to review.";
    $("broken").hidden = false;
    return;
  }
  for (const label of data.labels) {
    const option = document.createElement("option");
    option.value = label;
    $("labels").append(option);
  }
  $("reviewer").value = load("reviewer") || "";
  const last = data.items.findIndex((one) => one.id === load("place"));
  show(Math.max(last, 0));
})();
