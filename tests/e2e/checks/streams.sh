# exec, attach, cp and port-forward move much data both ways, over WebSocket and over SPDY, and none is lost.
# STREAM_MB is how much; 1024 takes some minutes.

cluster_up
check "the node is ready" counts 1 ' Ready ' k get nodes --no-headers
check "a server is packed" "$top/tests/images/web" localhost/web:1 "$dir/web.tar"
check "the node has the image" ctr --address "$dir/run/containerd/containerd.sock" --namespace k8s.io images import "$dir/web.tar"

head -c "${STREAM_MB:-64}M" /dev/urandom >"$dir/data"
sum=$(sha256sum <"$dir/data" | cut -d ' ' -f 1)
# What is inside has the same sum: `b` is busybox there.
b=/bin/busybox
check "a pod begins" k run streams --image=localhost/web:1 --image-pull-policy=Never
check "it runs" says '^streams +1/1 +Running' k get pods --no-headers
check "its server answers" k exec streams -- "$b" wget -qO /dev/null http://127.0.0.1/

sum_is() { local text; text=$("$@" | cut -d ' ' -f 1); echo "$text"; [ "$text" = "$sum" ]; }
exec_in() { k exec -i streams -- "$b" sha256sum <"$dir/data"; }
exec_out() { k exec streams -- "$b" cat /www/data | sha256sum; }
copied_in() { k exec streams -- "$b" sha256sum /www/data; }
copied_out() { k cp streams:/www/data "$dir/back" >/dev/null && sha256sum <"$dir/back"; rm -f "$dir/back"; }

# Attached: the container reads until its input ends, which is said to it once.
attach_in() {
    k delete pod reader --ignore-not-found --now >/dev/null
    k run reader -i --quiet --image=localhost/web:1 --image-pull-policy=Never --restart=Never --command -- "$b" sha256sum <"$dir/data"
}
# And the other way: it waits for a word, then sends all it has.
attach_out() {
    k delete pod writer --ignore-not-found --now >/dev/null
    k run writer -i --quiet --image=localhost/web:1 --image-pull-policy=Never --restart=Never --command -- \
        /bin/sh -c "$b wget -qO - http://$address/data >/tmp/data; read word; exec $b cat /tmp/data" <<<go | sha256sum
}

# A port on this machine, and what goes through it.
forward_begin() {
    k port-forward pod/streams "$@" >"$dir/forward" 2>&1 &
    loads+=("$!")
    check "ports are forwarded" grep -q 'Forwarding from 127.0.0.1' "$dir/forward"
    port=$(sed -n 's/Forwarding from 127.0.0.1:\([0-9]*\).*/\1/p' "$dir/forward" | head -n 1)
}
forward_end() { kill "${loads[@]}" && wait "${loads[@]}"; loads=(); } 2>/dev/null
forward_out() { curl -sf "http://127.0.0.1:$port/data" | sha256sum; }
forward_in() {
    # Its own output stays open, as runtimes give up what is open in one direction only.
    k exec streams -- "$b" sh -c "$b rm -f /tmp/open && $b mkfifo /tmp/open && $b nc -l -p 9000 <>/tmp/open | $b sha256sum" &
    local listener=$! deadline=$((SECONDS + 30))
    until k exec streams -- "$b" grep -q ':2328 .* 0A ' /proc/net/tcp /proc/net/tcp6; do
        # It ended, or does not listen: that fails here instead of being waited for.
        if [ "$SECONDS" -ge "$deadline" ] || ! kill -0 "$listener" 2>/dev/null; then
            kill "$listener" 2>/dev/null
            wait "$listener"
            return 1
        fi
        read -rt 0.2 <> <(:) || :
    done
    "$b" nc 127.0.0.1 "$port" <"$dir/data" >/dev/null
    wait "$listener"
}

for way in WebSocket SPDY; do
    [ "$way" = SPDY ] && export KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false KUBECTL_PORT_FORWARD_WEBSOCKETS=false
    export patience=600
    check "$way: exec takes it" sum_is exec_in
    check "$way: cp takes it" k cp "$dir/data" streams:/www/data
    check "$way: what was copied is the same" sum_is copied_in
    check "$way: exec gives it" sum_is exec_out
    check "$way: cp gives it" sum_is copied_out
    address=$(k get pod streams -o 'jsonpath={.status.podIP}')
    check "$way: attach takes it" sum_is attach_in
    check "$way: attach gives it" sum_is attach_out
    forward_begin :80
    check "$way: port-forward gives it" sum_is forward_out
    forward_end
    forward_begin :9000
    check "$way: port-forward takes it" sum_is forward_in
    forward_end
    unset patience
done
unset KUBECTL_REMOTE_COMMAND_WEBSOCKETS KUBECTL_PORT_FORWARD_WEBSOCKETS
