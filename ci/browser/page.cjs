// Opens a page of a report as people do and says what is wrong with it: called by ci/page.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { pathToFileURL } = require("node:url");
const puppeteer = require("puppeteer-core");

const [chromium, file, home, picture] = process.argv.slice(2);
const axe = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const address = pathToFileURL(file).href;
const widths = { desktop: [1280, 900], phone: [390, 844] };
const problems = [];
const wrong = (where, what) => problems.push(`${where}: ${what}`);

async function open(browser, where, { width, height, scheme = "light", script = true }) {
  const page = await browser.newPage();
  await page.setViewport({ width, height, deviceScaleFactor: 1 });
  await page.emulateMediaFeatures([
    { name: "prefers-color-scheme", value: scheme },
    { name: "prefers-reduced-motion", value: "reduce" },
  ]);
  await page.setJavaScriptEnabled(script);
  page.on("console", (said) => wrong(where, `console: ${said.text()}`));
  page.on("pageerror", (error) => wrong(where, `script: ${error.message}`));
  page.on("request", (request) => {
    // The browser makes its filters for colour vision from such addresses.
    const filter = where === "red-green" && request.url().startsWith("data:image/svg+xml,");
    if (request.url() !== address && !filter) wrong(where, `loads ${request.url()}`);
  });
  await page.goto(address);
  return page;
}

async function look(browser, device, scheme) {
  const where = `${device}, ${scheme}`;
  const [width, height] = widths[device];
  const page = await open(browser, where, { width, height, scheme });
  await page.screenshot({ path: path.join(home, `${device}-${scheme}.png`), fullPage: true });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) wrong(where, `${wide} px wider than the window`);
  await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  for (const violation of found.violations) {
    const nodes = violation.nodes.slice(0, 5).map((node) => `\n    ${node.html.slice(0, 160)}` +
      `\n      ${node.failureSummary.replaceAll("\n", " ")}`);
    wrong(where, `axe ${violation.id}, ${violation.nodes.length} times: ${violation.help}${nodes.join("")}`);
  }
  // What axe cannot decide is counted, so that nobody takes silence for a proof.
  console.log(`${where}: ${found.passes.length} rules of axe pass, ${found.violations.length} do ` +
    `not, ${found.incomplete.length} are for people: ${found.incomplete.map((one) => one.id)}`);
  await page.close();
}

// The first heading of figures outside of folded data, and the values below it, as they stand.
const heading = "section > .wide > table[data-sort] thead th.n button";
const shownValues = (button) => {
  const head = button.closest("th");
  const rows = [...button.closest("table").tBodies[0].rows];
  return rows.map((row) => row.cells[head.cellIndex].dataset.value)
    .filter((value) => value !== undefined).map(Number);
};

async function sorts(browser) {
  const where = "sorting";
  const page = await open(browser, where, { width: 1280, height: 900 });
  const button = await page.$(heading);
  if (!button) return wrong(where, "no table sorts");
  const written = await button.evaluate(shownValues);
  const up = written.slice().sort((a, b) => a - b);
  const expected = [["ascending", up], ["descending", up.slice().reverse()], [null, written]];
  await button.focus();
  for (const [state, values] of expected) {
    await page.keyboard.press("Enter");
    const said = await button.evaluate((one) => one.closest("th").getAttribute("aria-sort"));
    if (said !== state) wrong(where, `aria-sort is ${said} and not ${state}`);
    const shown = await button.evaluate(shownValues);
    if (String(shown) !== String(values)) wrong(where, `${state}: ${shown}`);
  }
  await page.close();
}

async function keyboard(browser) {
  const page = await open(browser, "keyboard", { width: 1280, height: 900 });
  await page.keyboard.press("Tab");
  const first = await page.evaluate(() => document.activeElement.className);
  if (first !== "skip") wrong("keyboard", `the first stop is ${first}, not the skip link`);
  await page.keyboard.press("Enter");
  const then = await page.evaluate(() => document.activeElement.id);
  if (then !== "content") wrong("keyboard", `the skip link leads to ${then}`);
  await page.close();
}

async function withoutScript(browser) {
  const text = async (script) => {
    const page = await open(browser, "without script", { width: 1280, height: 900, script });
    const all = await page.evaluate(() => document.querySelector("main").innerText);
    await page.close();
    return all.replace(/\s+/g, " ");
  };
  if ((await text(true)) !== (await text(false))) wrong("without script", "the text differs");
}

async function paper(browser) {
  const page = await open(browser, "paper", { width: 1280, height: 900, scheme: "dark" });
  await page.pdf({ path: path.join(home, "page.pdf"), preferCSSPageSize: true, printBackground: false });
  await page.close();
}

// As people see it who cannot tell red from green: for looking at.
async function redGreen(browser) {
  const page = await open(browser, "red-green", { width: 1280, height: 1400 });
  await page.emulateVisionDeficiency("deuteranopia");
  await page.screenshot({ path: path.join(home, "desktop-deuteranopia.png") });
  await page.close();
}

async function forDocumentation(browser) {
  const page = await open(browser, "picture", { width: 1200, height: 1500 });
  await page.screenshot({ path: picture });
  const size = fs.statSync(picture).size;
  if (size >= 400_000) wrong("picture", `${size} bytes are too many for documentation`);
  await page.close();
}

(async () => {
  const browser = await puppeteer.launch({
    executablePath: chromium,
    args: ["--no-sandbox", "--headless=new", "--disable-gpu", "--hide-scrollbars"],
  });
  try {
    for (const device of Object.keys(widths)) {
      for (const scheme of ["light", "dark"]) await look(browser, device, scheme);
    }
    await sorts(browser);
    await keyboard(browser);
    await withoutScript(browser);
    await paper(browser);
    await redGreen(browser);
    if (picture) await forDocumentation(browser);
  } finally {
    await browser.close();
  }
  for (const problem of problems) console.error(problem);
  console.log(`page: ${problems.length} problems; pictures in ${path.relative(process.cwd(), home)}`);
  process.exitCode = problems.length > 0 ? 1 : 0;
})();
