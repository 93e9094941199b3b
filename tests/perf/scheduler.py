#!/usr/bin/env python3
"""What a kube-scheduler costs: a backlog of pods onto nodes that nobody runs, and nothing to do at all.

  scheduler.py --binaries DIR [--scheduler DIR] [--nodes 1000] [--pods 5000] [--idle 60] [SHAPE...]

Shapes: basic, spread (over zones, and if possible over hosts), anti (each of a group of 100 on a host of its own),
affinity (each group in one zone), idle (no pods; memory and processor time after that many seconds). All of them if none is
named. Each has an etcd and an apiserver of its own, on free ports of loopback. Prints a line of JSON for each, and says
how many rules of the pods are broken. It measures and does not judge the time: processor time is the scheduler's user and
system time, from its start until shortly after the last binding, so that events count.
"""
import argparse, collections, concurrent.futures, http.client, json, os, re, shutil, socket, ssl, subprocess, sys, tempfile, threading, time

TICK = os.sysconf("SC_CLK_TCK")
ZONES, GROUP, LIMIT = 5, 100, 300
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
# What would need controllers that do not run here.
ADMISSION = "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition,DefaultTolerationSeconds,Priority"


def pod(number, shape):
    group = f"g{number // GROUP}"
    selector = {"matchLabels": {"group": group}}
    spec = {"containers": [{"name": "c", "image": "image", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}]}
    term = lambda key: {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key, "labelSelector": selector}]}
    spread = lambda key, skew, otherwise: {"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": otherwise, "labelSelector": selector}
    if shape == "spread":
        spec["topologySpreadConstraints"] = [spread(ZONE, 1, "DoNotSchedule"), spread(HOST, 3, "ScheduleAnyway")]
    if shape == "anti":
        spec["affinity"] = {"podAntiAffinity": term(HOST)}
    if shape == "affinity":
        spec["affinity"] = {"podAffinity": term(ZONE)}
    return {"metadata": {"name": f"p-{number:06}", "labels": {"group": group}}, "spec": spec}


def node(number):
    resources = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    labels = {HOST: f"n-{number:05}", ZONE: f"z{number % ZONES}"}
    return {"metadata": {"name": f"n-{number:05}", "labels": labels}, "status": {"capacity": resources, "allocatable": resources}}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Plane:
    """An etcd and an apiserver in a folder of their own."""

    def __init__(self, binaries):
        self.folder, self.running, self.local = tempfile.mkdtemp(prefix="scheduler.", dir="/tmp"), [], threading.local()
        self.tls = ssl._create_unverified_context()
        at = lambda name: os.path.join(self.folder, name)
        subprocess.run(["openssl", "genrsa", "-out", at("sa.key"), "2048"], check=True, stderr=subprocess.DEVNULL)
        with open(at("tokens.csv"), "w") as f:
            f.write("admin,admin,1,system:masters\nscheduler,system:kube-scheduler,2\n")
        client, peer, self.port = free_port(), free_port(), free_port()
        etcd, with_peer = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self.start("etcd", "etcd", "--data-dir", at("etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls",
                   with_peer, "--initial-advertise-peer-urls", with_peer, "--initial-cluster", f"default={with_peer}")
        self.apiserver = self.start(
            "kube-apiserver", f"{binaries}/kube-apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--secure-port", str(self.port),
            "--service-cluster-ip-range", "10.96.0.0/16", "--cert-dir", at("certs"), "--token-auth-file", at("tokens.csv"), "--authorization-mode", "Node,RBAC",
            "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", at("sa.key"), "--service-account-signing-key-file",
            at("sa.key"), ADMISSION, "--max-requests-inflight=4000", "--max-mutating-requests-inflight=2000")
        self.wait("/readyz")
        self.wait("/api/v1/namespaces/default")

    def start(self, name, *command):
        log = open(os.path.join(self.folder, f"{name}.log"), "ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.running.append(process)
        return process.pid

    def send(self, method, path, body=None):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=self.tls)
        headers = {"Authorization": "Bearer admin", "Content-Type": "application/json"}
        self.local.connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = self.local.connection.getresponse()
        return answer.status, answer.read()

    def wait(self, path):
        end = time.time() + 60
        while time.time() < end:
            try:
                if self.send("GET", path)[0] == 200:
                    return
            except OSError:
                del self.local.connection
            time.sleep(0.05)
        sys.exit(f"{path}: not there after 60 s; see {self.folder}")

    def make(self, path, objects):
        def one(body):
            status, text = self.send("POST", path, body)
            if status != 201:
                sys.exit(f"POST {path}: {status} {text[:300]}")

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(one, objects))

    def pods(self):
        return json.loads(self.send("GET", "/api/v1/pods?resourceVersion=0")[1])["items"]

    def is_any_waiting(self):
        return bool(json.loads(self.send("GET", "/api/v1/pods?fieldSelector=spec.nodeName%3D&limit=1")[1])["items"])

    def events(self):
        return len(json.loads(self.send("GET", "/api/v1/events?resourceVersion=0")[1])["items"])

    def scheduler(self, binaries):
        with open(os.path.join(self.folder, "kubeconfig"), "w") as f:
            json.dump({"kind": "Config", "current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                       "clusters": [{"name": "c", "cluster": {"server": f"https://127.0.0.1:{self.port}", "insecure-skip-tls-verify": True}}],
                       "users": [{"name": "u", "user": {"token": "scheduler"}}]}, f)
        with open(os.path.join(self.folder, "config"), "w") as f:
            json.dump({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration", "leaderElection": {"leaderElect": False},
                       "clientConnection": {"kubeconfig": f"{self.folder}/kubeconfig", "qps": 5000, "burst": 5000}}, f)
        return self.start("kube-scheduler", f"{binaries}/kube-scheduler", "--config", f"{self.folder}/config", "--bind-address", "127.0.0.1", "--secure-port",
                          str(free_port()), "--cert-dir", f"{self.folder}/certs")

    def end(self):
        for process in reversed(self.running):
            process.terminate()
        for process in self.running:
            process.wait()
        shutil.rmtree(self.folder)


def processor(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def memory(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) / 1024


def broken(pods, shape):
    """How many rules are broken: a node with more than fits, a constraint that does not hold."""
    nodes, groups = collections.Counter(), collections.defaultdict(collections.Counter)
    for each in pods:
        name = each["spec"].get("nodeName")
        if name:
            nodes[name] += 1
            groups[each["metadata"]["labels"]["group"]][name] += 1
    found = sum(number > 80 for number in nodes.values())
    for group in groups.values():
        zones = collections.Counter({zone: 0 for zone in range(ZONES)})
        for name, number in group.items():
            zones[int(name[2:]) % ZONES] += number
        if shape == "anti":
            found += sum(number > 1 for number in group.values())
        if shape == "affinity":
            found += sum(number > 0 for number in zones.values()) > 1
        if shape == "spread":
            found += max(zones.values()) - min(zones.values()) > 1
    return found


def measure(shape, a):
    plane = Plane(a.binaries)
    try:
        plane.make("/api/v1/nodes", map(node, range(a.nodes)))
        wanted = 0 if shape == "idle" else a.pods
        plane.make("/api/v1/namespaces/default/pods", (pod(number, shape) for number in range(wanted)))
        before, begun = processor(plane.apiserver), time.time()
        pid = plane.scheduler(a.scheduler or a.binaries)
        if shape == "idle":
            time.sleep(a.idle)
            spent = processor(pid)
            time.sleep(a.idle)
            return {"shape": shape, "nodes": a.nodes, "MB": round(memory(pid), 1), "millicores": round((processor(pid) - spent) / a.idle * 1000, 2)}
        while plane.is_any_waiting() and time.time() < begun + LIMIT:
            time.sleep(0.25)
        took = time.time() - begun
        # Events are written behind the bindings, and belong to the cost.
        time.sleep(a.settle)
        spent, pods = processor(pid), plane.pods()
        bound, events = sum("nodeName" in each["spec"] for each in pods), plane.events()
        return {"shape": shape, "nodes": a.nodes, "pods": wanted, "bound": bound, "broken": broken(pods, shape), "events": events,
                "cpu_us_per_pod": round(spent / max(bound, 1) * 1e6), "pods_per_s": round(bound / took), "MB": round(memory(pid), 1),
                "apiserver_cpu_us_per_pod": round((processor(plane.apiserver) - before) / max(bound, 1) * 1e6)}
    finally:
        plane.end()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", required=True)
    parser.add_argument("--scheduler", help="where the scheduler is, if elsewhere")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--idle", type=int, default=60)
    parser.add_argument("--settle", type=int, default=5, help="seconds after the last binding that count, too")
    parser.add_argument("shapes", nargs="*", default=["basic", "spread", "anti", "affinity", "idle"])
    arguments = parser.parse_args()
    for each in arguments.shapes:
        print(json.dumps(measure(each, arguments)), flush=True)
