#!/usr/bin/env python3
"""What large clusters cost an API server, measured from outside against a running binary.

  large.py lists --pid PID --ca FILE --token TOKEN [--server URL]
      64 clients list 1 GB of objects (10,000 ConfigMaps of 100 kB) at the same time, as JSON, protobuf and Table,
      every eighth of them slowly: by how much the server's memory grows. Needs curl, and etcd with room for 2 GB.
  large.py start --pid PID --ca FILE --token TOKEN [--server URL]
      150,000 pods of some 6 kB: the processor time of a start until /readyz, and the memory after it. Ends the server
      and starts it again with the arguments it had; it is left running, and its process ID printed.

It measures and does not judge. What it makes lies in the namespace "large" and is left there, to be measured again.
"""
import argparse, concurrent.futures, http.client, json, os, re, signal, ssl, subprocess, sys, threading, time
from urllib.parse import urlparse

TICK = os.sysconf("SC_CLK_TCK")
NAMESPACE = "/api/v1/namespaces/large"
CLIENTS, SLOWLY = 64, "24M"
FORMATS = ("application/json", "application/vnd.kubernetes.protobuf", "application/json;as=Table;v=v1;g=meta.k8s.io")


class Server:
    def __init__(self, a):
        self.a, self.url = a, urlparse(a.server)
        self.tls, self.local = ssl.create_default_context(cafile=a.ca), threading.local()

    def send(self, method, path, body=None):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection(self.url.hostname, self.url.port, context=self.tls)
        headers = {"Authorization": f"Bearer {self.a.token}", "Content-Type": "application/json"}
        self.local.connection.request(method, path, json.dumps(body) if body else None, headers)
        answer = self.local.connection.getresponse()
        return answer.status, answer.read()

    def make(self, path, body):
        status, text = self.send("POST", path, body)
        if status not in (201, 409):
            sys.exit(f"POST {path}: {status} {text[:300]}")

    def fill(self, path, count, make):
        self.make("/api/v1/namespaces", {"metadata": {"name": "large"}})
        self.make(f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}})
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            for done, _ in enumerate(pool.map(lambda i: self.make(path, make(i)), range(count)), 1):
                if done % 5000 == 0:
                    print(f"{done} of {count} made", file=sys.stderr)


def memory(pid, what):
    return int(re.search(rf"{what}:\s+(\d+)", open(f"/proc/{pid}/status").read()).group(1)) // 1024


def processor(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def lists(server, a):
    text = "x" * 100_000
    server.fill(f"{NAMESPACE}/configmaps", 10_000, lambda i: {"metadata": {"name": f"c-{i:05}"}, "data": {"text": text}})
    time.sleep(5)
    open(f"/proc/{a.pid}/clear_refs", "w").write("5")  # the peak counts from here
    before, spent, begun = memory(a.pid, "VmRSS"), processor(a.pid), time.time()

    def one(i):
        version = "?resourceVersion=0" if i % 2 else ""
        slow = ["--limit-rate", SLOWLY] if i % 8 == 0 else []
        command = ["curl", "-sf", "--http1.1", "--cacert", a.ca, "-H", f"Authorization: Bearer {a.token}", "-H", f"Accept: {FORMATS[i % 3]}",
                   "-o", "/dev/null", "-w", "%{size_download}", *slow, f"{a.server}{NAMESPACE}/configmaps{version}"]
        return subprocess.run(command, stdout=subprocess.PIPE)

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        ended = list(pool.map(one, range(CLIENTS)))
    print(json.dumps({"failed": sum(e.returncode != 0 for e in ended), "GB": round(sum(int(e.stdout) for e in ended) / 1e9, 1),
                      "seconds": round(time.time() - begun, 1), "cpu_s": round(processor(a.pid) - spent, 1), "MB_before": before,
                      "MB_peak": memory(a.pid, "VmHWM"), "MB_after": memory(a.pid, "VmRSS")}))


def start(server, a):
    def pod(i):
        env = [{"name": f"VARIABLE_{j}", "value": "v" * 40} for j in range(20)]
        containers = [{"name": c, "image": "registry.example/app:v1", "env": env, "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}}} for c in "ab"]
        return {"metadata": {"name": f"p-{i:06}", "labels": {"app": f"a{i % 500}"}}, "spec": {"schedulerName": "nobody", "containers": containers}}
    server.fill(f"{NAMESPACE}/pods", 150_000, pod)
    arguments = open(f"/proc/{a.pid}/cmdline").read().split("\0")[:-1]
    os.kill(a.pid, signal.SIGTERM)
    while os.path.exists(f"/proc/{a.pid}") and "zombie" not in open(f"/proc/{a.pid}/status").read():
        time.sleep(0.1)
    begun = time.time()
    pid = subprocess.Popen(arguments, stdout=open("/dev/null", "w"), stderr=subprocess.STDOUT, start_new_session=True).pid
    while True:
        try:
            if Server(a).send("GET", "/readyz")[0] == 200:
                break
        except OSError:
            pass
        time.sleep(0.05)
    ready, spent = time.time() - begun, processor(pid)
    # The connections of before are gone with the process.
    status, text = Server(a).send("GET", f"{NAMESPACE}/pods?resourceVersion=0")
    print(json.dumps({"pid": pid, "ready_s": round(ready, 2), "cpu_s": round(spent, 2), "MB": memory(pid, "VmRSS"), "MB_peak": memory(pid, "VmHWM"),
                      "pods": text.count(b'"uid"') if status == 200 else status}))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("what", choices=("lists", "start"))
parser.add_argument("--pid", type=int, required=True)
parser.add_argument("--ca", required=True)
parser.add_argument("--token", required=True)
parser.add_argument("--server", default="https://127.0.0.1:6443")
arguments = parser.parse_args()
{"lists": lists, "start": start}[arguments.what](Server(arguments), arguments)
