// A control plane of its own, and a node that is played: its pods run at once, log a line a second, and have a shell.

import { spawn, execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import https from "node:https";
import net from "node:net";
import { WebSocketServer } from "ws";

export const ADMIN = "admin-token";
export const VIEWER = "viewer-token";

/** Starts everything below `work`; `stop` ends it. */
export async function start(binaries, work) {
  const children = [];
  const run = (program, args, name) => {
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
    children.push(child);
    let log = "";
    const take = (data) => { log = (log + data).slice(-200_000); };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("exit", (code) => code && console.error(`${name} ended with ${code}:\n${log.slice(-2000)}`));
    return { pid: child.pid, port: () => until(`${name}'s address`, async () => /address=127\.0\.0\.1:(\d+)/.exec(log)?.[1]) };
  };
  const [client, peer] = [await freePort(), await freePort()];
  const etcd = `http://127.0.0.1:${client}`;
  run("etcd", ["--data-dir", `${work}/etcd`, "--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", `http://127.0.0.1:${peer}`,
    "--initial-advertise-peer-urls", `http://127.0.0.1:${peer}`, "--initial-cluster", `default=http://127.0.0.1:${peer}`], "etcd");
  writeFileSync(`${work}/tokens.csv`, `${ADMIN},admin,1,"system:masters"\n${VIEWER},jane,2,"viewers"\n`);
  const apiserver = run(`${binaries}/kube-apiserver`, ["--etcd-servers", etcd, "--secure-port=0", "--bind-address=127.0.0.1", "--cert-dir", `${work}/certs`,
    "--token-auth-file", `${work}/tokens.csv`, "--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--kubelet-preferred-address-types=InternalIP"], "kube-apiserver");
  const port = await apiserver.port();
  const certificate = `${work}/certs/apiserver.crt`;
  const kubeconfig = `${work}/kubeconfig`;
  writeFileSync(kubeconfig, JSON.stringify({ apiVersion: "v1", kind: "Config", "current-context": "c", contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    clusters: [{ name: "c", cluster: { server: `https://localhost:${port}`, "certificate-authority-data": readFileSync(certificate).toString("base64") } }], users: [{ name: "u", user: { token: ADMIN } }] }));
  const api = (method, path, body, type) => request(port, method, path, body, type);
  await until("the apiserver", async () => (await api("GET", "/readyz").catch(() => ({}))).status === 200);
  run(`${binaries}/kube-controller-manager`, ["--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port=0", "--bind-address=127.0.0.1", "--controllers=*,-node-lifecycle-controller,-nodelifecycle"], "kube-controller-manager");
  run(`${binaries}/kube-scheduler`, ["--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port=0", "--bind-address=127.0.0.1"], "kube-scheduler");
  const node = await playNode(api, work);
  const dashboard = run(`${binaries}/kube-dashboard`, ["--kubeconfig", kubeconfig, "--bind-address=127.0.0.1", "--port=0"], "kube-dashboard");
  const stop = () => { node.stop(); children.reverse().forEach((child) => child.kill("SIGKILL")); };
  return { api, url: `https://localhost:${await dashboard.port()}`, pid: dashboard.pid, kubeconfig, stop };
}

function request(port, method, path, body, type = "application/json") {
  const text = body === undefined ? undefined : JSON.stringify(body);
  return new Promise((done, failed) => {
    const headers = { authorization: `Bearer ${ADMIN}`, "content-type": type, ...(text && { "content-length": Buffer.byteLength(text) }) };
    const asked = https.request({ host: "127.0.0.1", port, method, path, headers, rejectUnauthorized: false, agent }, (response) => {
      let answer = "";
      response.on("data", (data) => { answer += data; });
      response.on("end", () => done({ status: response.statusCode, body: answer.startsWith("{") ? JSON.parse(answer) : answer }));
    });
    asked.on("error", failed);
    asked.end(text);
  });
}
const agent = new https.Agent({ keepAlive: true, maxSockets: 16 });

async function playNode(api, work) {
  mkdirSync(`${work}/kubelet`);
  const [key, certificate] = [`${work}/kubelet/tls.key`, `${work}/kubelet/tls.crt`];
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=kubelet", "-days", "2",
    "-addext", "subjectAltName=IP:127.0.0.1"], { stdio: "ignore" });
  const server = https.createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, serveLogs);
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered].find((one) => /^v[45]\.channel/.test(one)) });
  server.on("upgrade", (asked, socket, head) => sockets.handleUpgrade(asked, socket, head, serveShell));
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const condition = (type, status) => ({ type, status, reason: "Played", message: "as the test says", lastHeartbeatTime: new Date().toISOString(), lastTransitionTime: new Date().toISOString() });
  const amount = { cpu: "64", memory: "256Gi", pods: "20000" };
  const status = { capacity: amount, allocatable: amount, addresses: [{ type: "InternalIP", address: "127.0.0.1" }], daemonEndpoints: { kubeletEndpoint: { Port: server.address().port } },
    conditions: [condition("Ready", "True"), condition("MemoryPressure", "False")], nodeInfo: { machineID: "", systemUUID: "", bootID: "", kernelVersion: "6.1", osImage: "Debian", containerRuntimeVersion: "played://1", kubeletVersion: "v1.36.2", kubeProxyVersion: "", operatingSystem: "linux", architecture: "amd64" } };
  for (const name of ["node-1", "node-2"]) {
    await api("POST", "/api/v1/nodes", { apiVersion: "v1", kind: "Node", metadata: { name, labels: { "kubernetes.io/hostname": name } } });
    // Nobody else takes away what keeps pods from a node that has just come.
    await api("PATCH", `/api/v1/nodes/${name}`, { spec: { taints: null } }, "application/merge-patch+json");
    await api("PATCH", `/api/v1/nodes/${name}/status`, { status }, "application/merge-patch+json");
  }
  let isStopped = false;
  const loop = async () => {
    while (!isStopped) {
      const { body } = await api("GET", "/api/v1/pods?fieldSelector=status.phase=Pending&limit=200").catch(() => ({}));
      const mine = (body?.items ?? []).filter((pod) => pod.spec.nodeName && !pod.metadata.deletionTimestamp);
      for (const pod of mine) {
        const path = `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}/status`;
        const answer = await api("PATCH", path, { status: runs(pod) }, "application/merge-patch+json").catch((error) => ({ status: 0, body: error }));
        if (answer.status !== 200 && answer.status !== 404 && answer.status !== 409) console.error("status:", answer.status, answer.body.message);
      }
      const ending = await api("GET", "/api/v1/pods?limit=200").catch(() => ({}));
      await Promise.all((ending.body?.items ?? []).filter((pod) => pod.metadata.deletionTimestamp).map((pod) => api("DELETE", `/api/v1/namespaces/${pod.metadata.namespace}/pods/${pod.metadata.name}`, { apiVersion: "v1", kind: "DeleteOptions", gracePeriodSeconds: 0 })));
      await new Promise((done) => setTimeout(done, 300));
    }
  };
  loop();
  return { stop: () => { isStopped = true; server.close(); server.closeAllConnections(); } };
}

function runs(pod) {
  const now = new Date().toISOString();
  const fails = pod.metadata.labels?.app === "broken";
  const state = fails ? { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s restarting failed container" } } : { running: { startedAt: now } };
  return { phase: "Running", startTime: now, podIP: "10.244.1.7", podIPs: [{ ip: "10.244.1.7" }],
    conditions: ["Initialized", "Ready", "ContainersReady", "PodScheduled"].map((type) => ({ type, status: fails && /Ready/.test(type) ? "False" : "True", lastTransitionTime: now })),
    containerStatuses: pod.spec.containers.map((one) => ({ name: one.name, image: one.image, imageID: "", ready: !fails, started: !fails, restartCount: fails ? 7 : 0, state, lastState: {} })) };
}

function serveLogs(asked, response) {
  const { pathname, searchParams } = new URL(asked.url, "https://x");
  if (!pathname.startsWith("/containerLogs/")) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": "text/plain" });
  const word = searchParams.get("previous") === "true" ? "before" : "now";
  for (let n = 1; n <= 40; n++) response.write(`${word} line ${n}: GET /index.html 200 <b>not markup</b>\n`);
  if (searchParams.get("follow") !== "true") return response.end();
  let n = 0;
  const timer = setInterval(() => response.write(`live line ${++n}\n`), 300);
  response.on("close", () => clearInterval(timer));
  return undefined;
}

/** A real shell behind the protocol's channels. */
function serveShell(socket) {
  const shell = spawn("script", ["-qfc", "sh", "/dev/null"], { env: { PATH: process.env.PATH, TERM: "xterm-256color", PS1: "\x1b[32mpod\x1b[0m:\x1b[34m~\x1b[0m$ " } });
  const frame = (channel, data) => Buffer.concat([Buffer.from([channel]), Buffer.from(data)]);
  const say = (data) => socket.readyState === 1 && socket.send(frame(1, data));
  shell.stdout.on("data", say);
  shell.stderr.on("data", say);
  shell.on("exit", () => {
    if (socket.readyState === 1) socket.send(frame(3, JSON.stringify({ metadata: {}, status: "Success" })));
    socket.close();
  });
  socket.on("message", (data) => data[0] === 0 && shell.stdin.write(data.subarray(1)));
  socket.on("close", () => shell.kill());
}

/** Looks until there is something. */
export async function until(what, look, patience = 60_000) {
  const end = Date.now() + patience;
  while (Date.now() < end) {
    const found = await look();
    if (found) return found;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${what} did not come`);
}

function freePort() {
  return new Promise((done) => {
    const server = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });
}
