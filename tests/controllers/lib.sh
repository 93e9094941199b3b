# A control plane without scheduler and nodes, in a folder of its own. Sourced by tests/controllers/run.

free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

# kubeconfig USER PORT: a client's, whose token is its name.
kubeconfig() {
    cat >"$dir/$1.conf" <<END
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:$2", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: $1}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END
}

plane_up() {
    dir=$(mktemp -d /tmp/controllers.XXXXXX)
    mkdir "$dir/logs"
    openssl genrsa -out "$dir/sa.key" 2048 2>/dev/null
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/ca.key" -out "$dir/ca.crt" -subj /CN=ca -days 2 2>/dev/null
    printf '%s\n' 'admin,admin,1,system:masters' 'manager,system:kube-controller-manager,2' >"$dir/tokens.csv"
    local client peer
    client=$(free_port) peer=$(free_port)
    etcd --data-dir "$dir/etcd" --listen-client-urls "http://127.0.0.1:$client" --advertise-client-urls "http://127.0.0.1:$client" \
        --listen-peer-urls "http://127.0.0.1:$peer" --initial-advertise-peer-urls "http://127.0.0.1:$peer" \
        --initial-cluster "default=http://127.0.0.1:$peer" >"$dir/logs/etcd.log" 2>&1 &
    loads+=($!)
    "$binaries/kube-apiserver" --etcd-servers "http://127.0.0.1:$client" --bind-address 127.0.0.1 --secure-port 0 \
        --service-cluster-ip-range 10.96.0.0/16 --cert-dir "$dir/certs" --client-ca-file "$dir/ca.crt" \
        --token-auth-file "$dir/tokens.csv" --authorization-mode Node,RBAC --enable-bootstrap-token-auth \
        --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$dir/sa.key" \
        --service-account-signing-key-file "$dir/sa.key" >"$dir/logs/kube-apiserver.log" 2>&1 &
    loads+=($!)
    check "the apiserver listens" grep -q 'serving securely' "$dir/logs/kube-apiserver.log"
    port=$(sed -n 's/.*serving securely address=127.0.0.1:\([0-9]*\).*/\1/p' "$dir/logs/kube-apiserver.log")
    kubeconfig admin "$port"
    kubeconfig manager "$port"
    export KUBECONFIG=$dir/admin.conf
    check "the apiserver is ready" k get --raw /readyz
    "$binaries/kube-controller-manager" --kubeconfig "$dir/manager.conf" --bind-address 127.0.0.1 --secure-port 0 \
        --cert-dir "$dir/certs" --leader-elect=false --use-service-account-credentials=true \
        --controllers '*,bootstrapsigner,tokencleaner' --service-account-private-key-file "$dir/sa.key" \
        --root-ca-file "$dir/ca.crt" --cluster-signing-cert-file "$dir/ca.crt" --cluster-signing-key-file "$dir/ca.key" \
        --horizontal-pod-autoscaler-sync-period 1s --pvclaimbinder-sync-period 2s >"$dir/logs/kube-controller-manager.log" 2>&1 &
    loads+=($!)
}

plane_down() {
    if [ "$failed" != 0 ]; then
        for log in "$dir"/logs/*.log; do echo "-- $log"; grep -v DEBUG "$log" | tail -n 10 | cut -c 1-300; done
    fi
    for pid in "${loads[@]}"; do kill "$pid" 2>/dev/null; done
    wait
    rm -rf "$dir"
    echo "controllers: $passed checks passed, $failed failed"
    [ "$failed" = 0 ]
}

apply() { k apply -f - >"$dir/check.out" 2>&1 || cat "$dir/check.out"; }
# field JSONPATH COMMAND...: what kubectl says of an object's field.
field() { local path=$1; shift; k get "$@" -o "jsonpath=$path"; }
gone() { ! k get "$@"; }
# runs LABEL: the pods with this label run and are ready, as a kubelet would say.
runs() {
    local pod
    for pod in $(k get pods -l "$1" -o name); do
        k patch "$pod" --subresource=status --type=merge -p '{"status": {"phase": "Running", "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:10Z"}]}}'
    done
}
# whoami OPTIONS...: who the apiserver takes the caller for.
whoami() {
    curl -sk "$@" -H 'content-type: application/json' -d '{"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}' \
        "https://127.0.0.1:$port/apis/authentication.k8s.io/v1/selfsubjectreviews"
}
