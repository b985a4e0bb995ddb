"use strict";
(() => {
  // The order of nightly/dashboard/page.py, _packed.
  const [VERDICT, NIGHT, PATIENT, NAME, PLAN, DATE, PROTOCOL, WHY, RULES, DICE, HD95, MHD, CHANGE, FLIPS, PLANNER, REPORT, PICTURE, REVIEW, KEY, REPEATS] = Array(20).keys();
  const PAGE = 50;
  const WORDS = { flag: "⚑ flagged", error: "? no verdict", pass: "✓ passed" };
  const RANK = { flag: 0, error: 1, pass: 2 };
  const plans = JSON.parse(document.getElementById("data").textContent);
  const texts = plans.map(p => [p[PATIENT], p[NAME], p[PLAN], p[PROTOCOL], p[WHY], p[PLANNER], p[KEY], p[DATE], ...p[RULES]].join("\n").toLowerCase());
  const body = document.querySelector("#plans tbody");
  const which = document.getElementById("which"), when = document.getElementById("when"), find = document.getElementById("find");
  const more = document.getElementById("more"), shown = document.getElementById("shown");
  let column = null, down = false, order = [], count = 0;

  const weight = p => (p[FLIPS] ? 100 : 0) + Math.abs(p[CHANGE] || 0) * 10 + (p[DICE] === null ? 0 : 1 - p[DICE]);
  const worstFirst = (a, b) => b[NIGHT] - a[NIGHT] || RANK[a[VERDICT]] - RANK[b[VERDICT]] || weight(b) - weight(a);
  const byColumn = (a, b) => {
    const [x, y] = [a[column], b[column]];
    const [emptyX, emptyY] = [x === null || x === "", y === null || y === ""];
    if (emptyX || emptyY) return emptyX - emptyY;
    const way = typeof x === "number" ? x - y : String(x).localeCompare(String(y));
    return down ? -way : way;
  };
  const wanted = (p, text, words) =>
    (when.value === "all" || p[NIGHT]) &&
    (which.value === "all" || (which.value === "look" ? p[VERDICT] !== "pass" && !p[REVIEW] : p[VERDICT] === which.value)) &&
    words.every(word => text.includes(word));

  const cell = (row, name, text, label) => {
    const td = row.insertCell();
    td.className = name;
    if (label && text !== "") td.dataset.name = label;
    td.append(text);
    return td;
  };
  const make = (tag, name, text) => Object.assign(document.createElement(tag), { className: name, textContent: text });
  const signed = v => v === null ? "" : (v < 0 ? "−" : "+") + Math.abs(v).toFixed(2);
  const fixed = (v, digits) => v === null ? "" : v.toFixed(digits);

  // From a file share the page can only be read; from `rtqc serve` reviews can be written.
  const served = location.protocol.startsWith("http");
  const dialog = document.getElementById("review"), form = dialog.querySelector("form"), wrong = dialog.querySelector(".wrong");
  const noted = r => `${r.by}, ${r.made}${r.note ? ": " + r.note : ""}`;
  let asked = null, session = null;
  const ask = p => {
    asked = p;
    wrong.textContent = "";
    document.getElementById("review-what").textContent = `${p[PATIENT]} ${p[PLAN]}`;
    dialog.showModal();
  };
  form.addEventListener("submit", async e => {
    if (e.submitter.value !== "keep") return;
    e.preventDefault();
    const told = { key: asked[KEY], outcome: form.elements.outcome.value, note: form.elements.note.value };
    try {
      const answer = await fetch("/reviews", { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": session.csrf }, body: JSON.stringify(told) });
      const review = await answer.json();
      if (answer.status === 401) throw new Error("your session has ended, load the page again to sign in");
      if (!answer.ok) throw new Error(review.error);
      asked[REVIEW] = noted(review);
      dialog.close();
      form.elements.note.value = "";
      update();
    } catch (error) {
      wrong.textContent = `It was not kept: ${error.message}`;
    }
  });

  const draw = p => {
    const row = document.createElement("tr");
    const picture = cell(row, "picture", "");
    if (p[PICTURE]) {
      const img = Object.assign(document.createElement("img"), { loading: "lazy", decoding: "async", src: p[PICTURE], width: 96, height: 80, alt: "Worst slice, contour and draft" });
      picture.append(img);
    }
    cell(row, "verdict-cell", "").append(make("span", "verdict " + p[VERDICT], WORDS[p[VERDICT]]));
    const patient = cell(row, "patient", "");
    if (p[REPORT]) {
      patient.append(Object.assign(make("a", "", p[PATIENT] || "no Patient ID"), { href: p[REPORT] }));
    } else {
      patient.append(p[PATIENT] || "no Patient ID");
    }
    if (p[NAME]) patient.append(document.createElement("br"), make("small", "", p[NAME]));
    const plan = cell(row, "plan", p[PLAN]);
    plan.append(document.createElement("br"), make("small", "", [p[DATE], p[PROTOCOL], p[PLANNER], p[REPEATS] ? "exported again" : ""].filter(Boolean).join(" · ")));
    const why = cell(row, "why", p[WHY]);
    if (p[RULES].length) why.append(document.createElement("br"), ...p[RULES].map(r => make("span", "rule", r)));
    cell(row, "num", fixed(p[DICE], 3), "Dice");
    cell(row, "num", fixed(p[MHD], 2), "MHD, Gy");
    cell(row, "num", signed(p[CHANGE]), "with draft, Gy");
    cell(row, "num" + (p[FLIPS] ? " flips" : ""), p[FLIPS] ? String(p[FLIPS]) : "", "limits that flip");
    const review = cell(row, "review", p[REVIEW]);
    if (p[VERDICT] !== "pass") {
      review.append(p[REVIEW] ? document.createElement("br") : "", make("small", "", p[KEY]));
      if (session?.role === "reviewer") review.append(Object.assign(make("button", "", "Review"), { type: "button", onclick: () => ask(p) }));
    }
    return row;
  };
  const show = () => {
    const part = order.slice(count, count + PAGE);
    body.append(...part.map(draw));
    count += part.length;
    more.hidden = count >= order.length;
    shown.textContent = order.length === 0 ? "no plan" : count < order.length ? `${count} of ${order.length} plans` : `${order.length} ${order.length === 1 ? "plan" : "plans"}`;
  };
  const update = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    order = plans.filter((p, k) => wanted(p, texts[k], words)).sort(column === null ? worstFirst : byColumn);
    body.replaceChildren();
    count = 0;
    show();
  };
  for (const button of document.querySelectorAll("th button")) {
    button.addEventListener("click", () => {
      const own = Number(button.dataset.sort);
      down = column === own ? !down : own >= DICE && own !== DICE;
      column = own;
      for (const th of document.querySelectorAll("#plans th")) th.removeAttribute("aria-sort");
      button.closest("th").setAttribute("aria-sort", down ? "descending" : "ascending");
      update();
    });
  }
  document.getElementById("filters").addEventListener("submit", e => e.preventDefault());
  for (const part of [which, when]) part.addEventListener("change", update);
  let soon = 0;
  find.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(update, 120); });
  more.addEventListener("click", show);
  // What a screen shows fifty at a time, paper shows whole.
  addEventListener("beforeprint", () => { while (count < order.length && count < 500) show(); });
  if (!plans.some(p => p[NIGHT])) when.value = "all";
  update();
  if (served) {
    const told = path => fetch(path).then(answer => answer.ok ? answer.json() : Promise.reject(new Error(`${path}: ${answer.status}`)));
    Promise.all([told("/session"), told("/reviews")]).then(([who, reviews]) => {
      session = who;
      const account = document.getElementById("account");
      account.textContent = `${who.name}, ${who.role}`;
      account.hidden = false;
      if (who.can_leave) {
        const leave = async () => {
          await fetch("/logout", { method: "POST", headers: { "X-CSRF-Token": session.csrf } });
          location.assign("/login");
        };
        account.append(" ", Object.assign(make("button", "", "Sign out"), { type: "button", onclick: leave }));
      }
      for (const [key, review] of Object.entries(reviews)) {
        const plan = plans.find(p => key.startsWith(p[KEY]));
        if (plan) plan[REVIEW] = noted(review);
      }
      update();
    }).catch(error => { shown.textContent = `reviews could not be loaded (${error.message}): load the page again`; });
  }
})();
