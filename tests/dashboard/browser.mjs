// What a viewer does, in a browser: `node browser.mjs BINARIES WORK [SCREENSHOTS]`.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { ADMIN, VIEWER, start, until } from "./cluster.mjs";
import { objects, pods } from "./objects.mjs";

const [binaries, work, shots] = process.argv.slice(2);
const PODS = Number(process.env.PODS ?? 10_000);
const results = { passed: 0, failed: 0 };
const cluster = await start(binaries, work);
const memory = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${cluster.pid}/status`, "utf8"))[1]);
console.log(`idle: ${memory()} KiB`);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
let page = await visit("light");

/** What is written, what stands on a screen of 8 by 3 then, and what the terminal answers. */
const SCREENS = [
  ["one\r\ntwo", "one|two|"],
  ["123456789", "12345678|9|"],
  ["1\r\n2\r\n3\r\n4", "2|3|4"],
  ["abc\x1b[2Dx", "axc||"],
  ["a\x1b[3;8Hz", "a||       z"],
  ["abcdef\x1b[3D\x1b[K", "abc||"],
  ["abc\x1b[2Jd", "   d||"],
  ["abcdef\x1b[1;2H\x1b[2P", "adef||"],
  ["abcdef\x1b[1;2H\x1b[2@", "a  bcdef||"],
  ["1\r\n2\r\n3\x1b[1;1H\x1b[L", "|1|2"],
  ["1\r\n2\r\n3\x1b[1;1H\x1b[M", "2|3|"],
  ["1\r\n2\r\n3\x1b[1;2r\x1b[2;1H\nx", "2|x|3"],
  ["shell\x1b[?1049hother\x1b[?1049l", "shell||"],
  ["\x1b]0;title\x07text", "text||"],
  ["\x1bP1;2q;junk\x1b\\\x1b[31mred", "red||"],
  ["a\x1b7b\x1b8c", "ac||"],
  ["\x1b(0lqk\x1b(B", "┌─┐||"],
  ["漢字x", "漢字x||"],
  ["e\u0301x", "e\u0301x||"],
  ["ab\x1b[6n", "ab||", "\x1b[1;3R"],
  ["\x1b[c", "||", "\x1b[?1;2c"],
  ["x\x1b[3b", "xxxx||"],
  ["\x1b[999999999999A\x1b[99999Cz", "       z||"],
];

async function visit(colorScheme) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, colorScheme, viewport: { width: 1360, height: 860 }, acceptDownloads: true });
  const opened = await context.newPage();
  opened.on("pageerror", (error) => { console.error("page:", error.message); results.failed++; });
  opened.on("console", (message) => message.type() === "error" && /Content Security Policy|Trusted/i.test(message.text()) && (console.error("page:", message.text()), results.failed++));
  return opened;
}

async function check(name, act) {
  try {
    await act();
    results.passed++;
    console.log(`ok ${name}`);
  } catch (error) {
    results.failed++;
    console.log(`FAILED ${name}: ${error.stack}`);
    await shot(`failed-${results.failed}`);
  }
}

const shot = async (name) => shots && page.screenshot({ path: `${shots}/${name}.png` });
const go = (hash) => page.evaluate((to) => { location.hash = to; }, hash);
const see = (text, options = {}) => page.getByText(text, options).first().waitFor({ timeout: 15_000 });
const inMain = (text) => page.locator("main").getByText(text).first().waitFor({ timeout: 15_000 });

async function signIn(token) {
  await page.goto(cluster.url);
  await page.getByLabel("Token", { exact: true }).last().fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
}

try {
  await objects(cluster.api);
  await check("the first page is light and asks nobody else", async () => {
    const asked = [];
    let bytes = 0;
    page.on("request", (request) => asked.push(request.url()));
    const protocol = await page.context().newCDPSession(page);
    await protocol.send("Network.enable");
    protocol.on("Network.loadingFinished", ({ encodedDataLength }) => { bytes += encodedDataLength; });
    await page.goto(cluster.url);
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await page.waitForLoadState("networkidle");
    await protocol.detach();
    console.log(`   first page: ${bytes} bytes in ${asked.length} requests`);
    assert.ok(bytes > 10_000 && bytes < 100_000);
    assert.deepEqual(asked.filter((url) => !url.startsWith(cluster.url)), []);
    await shot("login");
  });
  await check("a wrong token is refused", async () => {
    await signIn("wrong");
    await see("does not know this credential");
  });
  await check("a right one opens the overview", async () => {
    await signIn(ADMIN);
    await page.getByRole("heading", { name: "Overview of default" }).waitFor();
    await inMain("healthy");
    assert.deepEqual(await page.evaluate(() => [document.cookie, localStorage.getItem("token"), Object.keys(sessionStorage)]), ["", null, []]);
    await until("all pods", async () => (await page.locator("a.card", { hasText: "Pods" }).innerText()).includes("failing"));
    await page.waitForTimeout(1500);
    await shot("overview");
  });
  await check("lists are live", async () => {
    await go("#/list/core/pods");
    await inMain("web-");
    await cluster.api("POST", "/api/v1/namespaces/default/pods", { apiVersion: "v1", kind: "Pod", metadata: { name: "late" }, spec: { containers: [{ name: "c", image: "x" }] } });
    await page.getByRole("link", { name: "late", exact: true }).waitFor();
    await inMain("Running");
    await shot("pods");
    await cluster.api("DELETE", "/api/v1/namespaces/default/pods/late?gracePeriodSeconds=0");
    await page.getByRole("link", { name: "late", exact: true }).waitFor({ state: "detached" });
  });
  await check("lists are filtered and sorted", async () => {
    await page.getByPlaceholder("Filter by name").fill("broken");
    await until("the filter", async () => (await page.locator("tbody tr[aria-rowindex]").count()) === 1);
    await page.getByPlaceholder("Filter by name").fill("");
    await page.getByRole("button", { name: "Name" }).click();
    const names = await page.locator("tbody tr[aria-rowindex] a").allInnerTexts();
    assert.deepEqual(names, [...names].sort());
  });
  await check("rows have actions, by keyboard", async () => {
    await page.locator("tbody a").first().focus();
    await page.keyboard.press("ArrowDown");
    assert.equal(await page.evaluate(() => document.activeElement.closest("tr")?.getAttribute("aria-rowindex")), "3");
    await page.locator("tbody button.icon").first().click();
    await page.getByRole("menuitem", { name: "Logs" }).waitFor();
    await shot("menu");
    await page.keyboard.press("Escape");
  });
  await check("an object's details have its children and events", async () => {
    await go("#/view/apps/deployments/default/web");
    await page.getByRole("heading", { name: "Conditions" }).waitFor();
    await page.getByRole("heading", { name: "Replica Sets" }).waitFor();
    await inMain("ScalingReplicaSet");
    await until("pods", async () => (await page.locator("section", { hasText: "Pods" }).last().locator("a", { hasText: "web-" }).count()) > 0);
    await shot("deployment");
  });
  await check("scaling", async () => {
    await page.getByRole("button", { name: "Scale" }).click();
    await page.getByLabel("Replicas").fill("5");
    await shot("scale");
    await page.locator("dialog").getByRole("button", { name: "Scale" }).click();
    await inMain("5 wanted");
    await inMain("5 ready");
  });
  await check("restart, history and rollback", async () => {
    await page.getByRole("button", { name: "Restart", exact: true }).click();
    await page.locator("dialog").getByRole("button", { name: "Restart" }).click();
    await until("a second revision", async () => (await cluster.api("GET", "/apis/apps/v1/namespaces/default/deployments/web")).body.metadata.annotations["deployment.kubernetes.io/revision"] === "2");
    await page.getByRole("button", { name: "History" }).click();
    await page.getByText("Revision 1,").click();
    await see("kubectl.kubernetes.io/restartedAt");
    await shot("history");
    await page.getByRole("button", { name: "Roll back to revision 1" }).click();
    await until("a rollback", async () => (await cluster.api("GET", "/apis/apps/v1/namespaces/default/deployments/web")).body.metadata.annotations["deployment.kubernetes.io/revision"] === "3");
    await page.locator("dialog").waitFor({ state: "detached" });
  });
  await check("logs follow, of before too, and are no markup", async () => {
    await go("#/view/core/pods/default/plain?tab=logs");
    await see("live line 3");
    await see("<b>not markup</b>");
    await shot("logs");
    await page.getByLabel("Previous").check();
    await see("before line 40");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
    assert.equal(download.suggestedFilename(), "default-plain-main.log");
  });
  await check("a terminal runs programs", async () => {
    await go("#/view/core/pods/default/plain?tab=exec");
    await see("Connected.");
    await until("a prompt", async () => (await page.locator(".terminal .rows").innerText()).includes("$"));
    await page.keyboard.type("echo $((6*7)); printf '\\033[1;31mred\\033[0m \\033[42mgreen\\033[0m\\n'; ls /\n");
    await until("an answer", async () => /^42\s*$/m.test(await page.locator(".terminal .rows").innerText()));
    await until("colours", async () => (await page.locator(".terminal .fg-1.bold").count()) > 0);
    await shot("terminal");
    await page.keyboard.type("exit\n");
    await see("The program has ended.");
  });
  await check("the screen does what programs expect", async () => {
    const shown = await page.evaluate(async (cases) => {
      const { Screen } = await import("/screen.js");
      return cases.map(([text]) => {
        let said = "";
        const screen = new Screen(8, 3, (answer) => { said += answer; });
        screen.write(text);
        return [screen.text().join("|"), said];
      });
    }, SCREENS);
    SCREENS.forEach(([text, want, said = ""], at) => assert.deepEqual(shown[at], [want, said], JSON.stringify(text)));
  });
  await check("YAML is edited after a look at what changes", async () => {
    await go("#/view/core/configmaps/default/settings?tab=yaml");
    const editor = page.getByLabel("YAML", { exact: true });
    await until("the text", async () => (await editor.inputValue().catch(() => "")).includes("colour: blue"));
    assert.ok(!(await editor.inputValue()).includes("managedFields"));
    await editor.fill((await editor.inputValue()).replace("colour: blue", "colour: green"));
    await page.getByRole("button", { name: "Review changes" }).click();
    await see("+   colour: green");
    await shot("yaml");
    assert.equal((await cluster.api("GET", "/api/v1/namespaces/default/configmaps/settings")).body.data.colour, "blue");
    await page.getByRole("button", { name: "Apply" }).click();
    await see("Applied.");
    assert.equal((await cluster.api("GET", "/api/v1/namespaces/default/configmaps/settings")).body.data.colour, "green");
  });
  await check("a conflict is shown, and settled", async () => {
    const editor = page.getByLabel("YAML", { exact: true });
    await until("the text", async () => (await editor.inputValue()).includes("colour: green"));
    await cluster.api("PATCH", "/api/v1/namespaces/default/configmaps/settings", { data: { shape: "round" } }, "application/merge-patch+json");
    await editor.fill((await editor.inputValue()).replace("colour: green", "colour: red"));
    await page.getByRole("button", { name: "Review changes" }).click();
    await see("Somebody has changed it since you began");
    await see("+   shape: round");
    await see("the object has been modified");
    assert.equal(await page.getByText("apiVersion: v1 code").count(), 0, "errors are read, whatever their form");
    await shot("conflict");
    await page.getByRole("button", { name: "Review mine over theirs" }).click();
    await see("The server would make these changes");
    await page.getByRole("button", { name: "Apply" }).click();
    await until("the change", async () => (await cluster.api("GET", "/api/v1/namespaces/default/configmaps/settings")).body.data.colour === "red");
  });
  await check("secrets are hidden until asked for", async () => {
    const bodies = [];
    const listen = async (response) => { if (response.url().includes("/secrets")) bodies.push(await response.text().catch(() => "")); };
    page.on("response", listen);
    await go("#/view/core/secrets/default/password");
    await page.getByRole("button", { name: "Read it" }).waitFor();
    await page.waitForTimeout(500);
    assert.ok(!bodies.some((body) => body.includes("aHVudGVyMg")), "it was sent without being asked for");
    await page.getByRole("button", { name: "Read it" }).click();
    await page.getByRole("button", { name: "Show password" }).waitFor();
    assert.equal(await page.getByText("hunter2").count(), 0);
    await page.getByRole("button", { name: "Show password" }).click();
    await see("hunter2");
    await shot("secret");
    page.off("response", listen);
  });
  await check("objects are made from YAML", async () => {
    await go("#/create");
    await page.getByLabel("YAML or JSON").fill("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: made\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: first\n  namespace: made\ndata:\n  a: b\n");
    await page.getByRole("button", { name: "Check" }).click();
    await see("Cannot be tried before its namespace exists.");
    await shot("create");
    await page.getByRole("button", { name: "Apply" }).click();
    await until("what was made", async () => (await cluster.api("GET", "/api/v1/namespaces/made/configmaps/first")).body.data?.a === "b");
    await page.getByLabel("YAML or JSON").fill("apiVersion: v1\nkind: Nonsense\nmetadata: {name: x}\n");
    await page.getByRole("button", { name: "Check" }).click();
    await see("The server has no Nonsense in v1.");
  });
  await check("deleting asks first", async () => {
    await go("#/view/core/configmaps/made/first");
    await page.getByRole("button", { name: "Delete" }).click();
    await see("This cannot be undone.");
    await shot("delete");
    await page.locator("dialog").getByRole("button", { name: "Delete" }).click();
    await until("its end", async () => (await cluster.api("GET", "/api/v1/namespaces/made/configmaps/first")).status === 404);
  });
  await check("nodes are cordoned and drained", async () => {
    await go("#/view/core/nodes/-/node-2");
    await page.getByRole("heading", { name: "Resources" }).waitFor();
    await shot("node");
    await page.getByRole("button", { name: "Cordon", exact: true }).click();
    await inMain("SchedulingDisabled");
    await page.getByRole("button", { name: "Drain" }).click();
    await shot("drain");
    await page.locator("dialog").getByRole("button", { name: "Drain" }).click();
    await see("The node is drained.");
    await page.getByRole("button", { name: "Uncordon" }).click();
    await inMain("enabled");
  });
  await check("custom resources are kinds like others", async () => {
    await page.reload();
    await page.getByRole("link", { name: "Widgets" }).click();
    await page.getByRole("link", { name: "one", exact: true }).click();
    await page.getByRole("heading", { name: "Spec" }).waitFor();
    await shot("custom");
  });
  await check("searching finds names of all kinds", async () => {
    await page.keyboard.press("/");
    await page.keyboard.type("settings\n");
    await page.locator("main").getByRole("link", { name: "settings" }).waitFor();
    await shot("search");
  });
  await check("dark pages", async () => {
    await page.emulateMedia({ colorScheme: "dark" });
    await go("#/");
    await inMain("healthy");
    await page.waitForTimeout(1500);
    await shot("dark-overview");
    await go("#/view/apps/deployments/default/web");
    await page.getByRole("heading", { name: "Conditions" }).waitFor();
    await shot("dark-deployment");
    await page.emulateMedia({ colorScheme: "light" });
  });
  await check(`${PODS} pods`, async () => {
    await pods(cluster.api, PODS);
    await page.getByLabel("Namespace").fill("many");
    await page.getByLabel("Namespace").press("Enter");
    const before = Date.now();
    await go("#/list/core/pods");
    await page.locator("tbody a").first().waitFor();
    const first = Date.now() - before;
    await until("all rows", async () => (await page.locator(".head .muted").first().innerText()).startsWith(`${PODS} `));
    console.log(`   ${PODS} pods: first rows after ${first} ms, all after ${Date.now() - before} ms; dashboard ${memory()} KiB`);
    assert.ok((await page.locator("tbody tr").count()) < 100, "only the rows in sight are elements");
    const filtering = Date.now();
    await page.getByPlaceholder("Filter by name").fill(`pod-${PODS - 1}`);
    await page.getByRole("link", { name: `pod-${PODS - 1}`, exact: true }).waitFor();
    console.log(`   filtered after ${Date.now() - filtering} ms`);
    await page.getByPlaceholder("Filter by name").fill("");
    await page.locator(".scroll").evaluate((element) => { element.scrollTop = element.scrollHeight; });
    await until("the last row", async () => (await page.locator(`tr[aria-rowindex="${PODS + 1}"]`).count()) === 1);
    await shot("many");
  });
  await check("signing out ends the session", async () => {
    const cookies = await page.context().cookies();
    const [cookie] = cookies.filter((one) => one.name === "__Host-kube-dashboard");
    assert.ok(cookie.httpOnly && cookie.secure && cookie.sameSite === "Strict");
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
    await page.context().addCookies([cookie]);
    await page.reload();
    await page.getByRole("button", { name: "Sign in" }).waitFor();
  });
  await check("who may not is told which rule is missing", async () => {
    page = await visit("light");
    await signIn(VIEWER);
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await go("#/list/apps/deployments");
    await see("You are not allowed to do this");
    await see('resources: ["deployments"]');
    await shot("forbidden");
  });
  await check("a kubeconfig signs in, too", async () => {
    page = await visit("light");
    await page.goto(cluster.url);
    await page.getByLabel("Kubeconfig file").setInputFiles(cluster.kubeconfig);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Overview" }).waitFor();
  });
} finally {
  await browser.close();
  cluster.stop();
}
console.log(`${results.passed} passed, ${results.failed} failed`);
process.exitCode = results.failed ? 1 : 0;
