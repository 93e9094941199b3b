# The documented workload on one machine: nginx from Debian's package, pulled from a registry on
# loopback, served on a node port; with kubectl-rs, and with the official kubectl where there is one.
# Then a rolling update and the death of each process, both under load.

cluster_up

# A registry on a free port of loopback, and how containerd speaks to it.
cat >"$dir/registry.yaml" <<CONFIG
version: 0.1
storage: {filesystem: {rootdirectory: $dir/registry}}
http: {addr: "127.0.0.1:0"}
CONFIG
docker-registry serve "$dir/registry.yaml" >"$dir/logs/registry.log" 2>&1 &
loads_registry=$!
check "the registry listens" says 'listening on 127' cat "$dir/logs/registry.log"
registry=localhost:$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\).*/\1/p' "$dir/logs/registry.log" | head -n 1)
mkdir -p "$dir/config/certs.d/$registry"
printf 'server = "http://%s"\n' "$registry" >"$dir/config/certs.d/$registry/hosts.toml"
check "nginx is packed" "$top/tests/images/nginx" nginx:1 "$dir/nginx.tar"
check "the registry takes it" skopeo copy --insecure-policy --dest-tls-verify=false "oci-archive:$dir/nginx.tar" "docker://$registry/nginx:1"
sed "s,\${IMAGE},$registry/nginx:1,; s,\${VERSION},1," "$here/workload.yaml" >"$dir/workload.yaml"
sed 's,version: "1",version: "2",' "$dir/workload.yaml" >"$dir/workload-2.yaml"

url=http://10.198.0.1:30004
for tool in "$binaries/kubectl-rs" kubectl; do
    command -v "$tool" >/dev/null || { echo "end to end: no $tool here, its checks are skipped"; continue; }
    echo "-- with $(basename "$tool")"
    k() { "$tool" "$@"; }
    pod() { k get pods -n magedu -l app=web -o name | sed -n "s,^pod/,,;${1:-1}p"; }
    check "namespace" k create namespace magedu
    check "create" k create -f "$dir/workload.yaml" --save-config --record
    check "three replicas are ready" says '3/3' k get deployment -n magedu
    check "the node port answers" says nginx curl -sm 2 $url/
    check "the node port answers on loopback" says nginx curl -sm 2 http://127.0.0.1:30004/
    check "a pod reaches the Service by name" says nginx k exec -n magedu "$(pod 1)" -- /bin/busybox timeout 3 busybox wget -qO- http://magedu-nginx-service
    first=$(curl -sm 2 $url/name)
    for _ in 1 2 3 4 5 6; do
        [ "$(curl -sm 2 $url/name)" = "$first" ] || first=
    done
    check "affinity keeps a client on one pod" test -n "$first"
    check "get in all namespaces" says 'magedu-nginx-service.*NodePort' k get service,pods,nodes,deployment --all-namespaces -o wide
    check "describe" says 'Successfully assigned' k describe pods -n magedu --show-events
    check "logs" says 'GET / HTTP' k logs -n magedu "$first"
    check "exec tells the exit code" says 'exit code 7' k exec -n magedu "$(pod 1)" -- /bin/bash -c 'exit 7'

    # A shell on a real terminal: script(1) gives it one, and what is typed waits for the prompt.
    mkfifo "$dir/keys"
    exec 3<>"$dir/keys"
    script -qefc "'$tool' exec -it -n magedu $(pod 1) -- bash" "$dir/typescript" <"$dir/keys" >/dev/null 2>&1 &
    shell=$!
    check "exec -it prompts" says '[#$] $' cat "$dir/typescript"
    printf 'tty; echo $((6 * 7))\n' >&3
    check "the shell has a terminal" says '/dev/pts/' cat "$dir/typescript"
    check "the shell answers" says '^42' cat "$dir/typescript"
    printf 'exit 5\n' >&3
    ended() { ! kill -0 "$shell"; }
    check "the shell ends" ended
    kill "$shell" 2>/dev/null
    wait "$shell"
    check "the shell's exit code comes back" test "$?" = 5
    exec 3>&-
    rm -f "$dir/keys" "$dir/typescript"

    check "apply without changes" says unchanged k apply --record -f "$dir/workload.yaml"
    victim=$(pod 1)
    check "delete a pod" k delete pod -n magedu "$victim"
    check "it is replaced" says '3/3' k get deployment -n magedu
    check "scale" k scale deployment/web -n magedu --replicas=2
    check "two replicas are ready" says '2/2' k get deployment -n magedu
    check "delete the namespace" k delete namespace magedu
    check "nothing is left" quiet k get pods,services,deployments -n magedu -o name
done

k() { "$binaries/kubectl-rs" "$@"; }
check "namespace" k create namespace magedu
check "create" k create -f "$dir/workload.yaml"
check "three replicas are ready" says '3/3' k get deployment -n magedu
check "the Service without affinity answers" says nginx curl -sm 2 http://127.0.0.1:30005/

# A rolling update loses no request.
load_begin $url/ "$dir/load-1"
load_begin http://127.0.0.1:30005/ "$dir/load-2"
check "a new template" k apply -f "$dir/workload-2.yaml"
patience=60 check "three new pods are ready" counts 3 '1/1 .*Running' k get pods -n magedu -l version=2 --no-headers
patience=60 check "the old pods are gone" quiet k get pods -n magedu -l version=1 -o name
check "no request was lost in the update" load_end "$dir/load-1" "$dir/load-2"

# Each of our processes is killed in turn; the supervisor brings it back and nothing else moves.
load_begin $url/ "$dir/load-1"
load_begin http://127.0.0.1:30005/ "$dir/load-2"
for process in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
    before=$(pid "$process")
    kill -9 "$before"
    back() { local now; now=$(pid "$process"); [ -n "$now" ] && [ "$now" != "$before" ]; }
    check "$process is back" back
    check "the apiserver is ready after $process was killed" k get nodes
done
kill -9 "$(cat "$dir/run/supervisor.pid")"
before=$(cat "$dir/run/pids.json")
check "up repairs the supervisor" "$top/deploy/up" --no-install --dir "$dir" --binaries "$binaries"
same_processes() { local now; now=$(cat "$dir/run/pids.json"); echo "$before, then $now"; [ "$now" = "$before" ]; }
check "the processes are the same" same_processes
check "no request was lost meanwhile" load_end "$dir/load-1" "$dir/load-2"
check "no container was restarted" counts 3 '1/1 +Running +0 ' k get pods -n magedu --no-headers
check "no object was lost" counts 5 . k get deployment,services,endpoints -n magedu -o name
# shellcheck source=signals.sh
. "$here/checks/signals.sh"
kill "$loads_registry"
