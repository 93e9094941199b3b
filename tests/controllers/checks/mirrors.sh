# Endpoints that are written by hand are mirrored.

apply <<'END'
apiVersion: v1
kind: Service
metadata: {name: ext}
spec: {ports: [{port: 80}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: ext, labels: {l: "v"}}
subsets: [{addresses: [{ip: 10.1.2.3}], notReadyAddresses: [{ip: 10.1.2.4}], ports: [{name: http, port: 80}]}]
END
slices() { k get endpointslices -l kubernetes.io/service-name=ext -o "jsonpath={range .items[*]}{.metadata.labels} {.endpoints} {.ports}{'\n'}{end}"; }
check "a slice mirrors them" says 'endpointslicemirroring-controller.k8s.io.*"l":"v".*10.1.2.3"\],"conditions":\{"ready":true.*10.1.2.4.*"port":80' slices
check "change" k patch endpoints ext --type=merge -p '{"subsets": [{"addresses": [{"ip": "10.1.2.9"}], "ports": [{"name": "http", "port": 81}]}]}'
check "the slice follows" says '10.1.2.9.*"port":81' slices
check "a Service with a selector needs none" k patch service ext --type=merge -p '{"spec": {"selector": {"a": "b"}}}'
unmirrored() { ! says endpointslicemirroring slices; }
check "the mirror goes" unmirrored
