# Bad requests get the Status that upstream returns, and leave nothing half-written.

cluster_up
api=https://127.0.0.1:6443
admin=(--cacert "$dir/pki/ca.crt" --cert "$dir/pki/admin.crt" --key "$dir/pki/admin.key")
check "a namespace" k create namespace bad

# answers CODE REASON MESSAGE CURL...: a Status with this code and reason (- for none), whose message matches.
answers() {
    local code=$1 reason=$2 message=$3 body
    shift 3
    # Over HTTP/2, curl 7.88 takes an answer that comes before it has sent everything for a broken stream.
    body=$(curl --http1.1 -sm 10 -w '\n%{http_code}' "$@")
    printf '%s\n' "$body"
    [ "$(tail -n 1 <<<"$body")" = "$code" ] || return 1
    # Upstream has no reason for a few of its errors.
    [ "$reason" = - ] || grep -qE "\"reason\": *\"$reason\"" <<<"$body" || return 1
    grep -q '"kind": *"Status"' <<<"$body" && grep -qE -- "$message" <<<"$body"
}
# refused WHAT CODE REASON MESSAGE CURL...: the same as a check, as the administrator.
refused() {
    local what=$1
    shift
    patience=0 check "$what" answers "$1" "$2" "$3" "${admin[@]}" "${@:4}"
}
maps=$api/api/v1/namespaces/bad/configmaps
json=(-H 'Content-Type: application/json')
map() { printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"%s"%s}}' "$1" "${2:-}"; }


refused "malformed JSON" 400 BadRequest '' "${json[@]}" -d '{"apiVersion":"v1","kind":' "$maps"
refused "malformed YAML" 400 BadRequest '' -H 'Content-Type: application/yaml' --data-binary $'a: [b\nc' "$maps"
refused "another kind" 400 BadRequest 'Secret in version .*v1.* cannot be handled as a ConfigMap' "${json[@]}" -d '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}' "$maps"
refused "a wrong content type" 415 UnsupportedMediaType 'the body of the request was in an unknown format' -H 'Content-Type: text/plain' -d "$(map a)" "$maps"
refused "a wrong patch type" 415 UnsupportedMediaType '415: Unsupported Media Type' -X PATCH "${json[@]}" -d '{}' "$maps/kube-root-ca.crt"
refused "an unknown field under strict validation" 400 BadRequest 'strict decoding error: unknown field' "${json[@]}" -d '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"strict"},"dota":{}}' "$maps?fieldValidation=Strict"
refused "a duplicate field under strict validation" 400 BadRequest 'strict decoding error: duplicate field' "${json[@]}" -d '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"strict"},"data":{},"data":{}}' "$maps?fieldValidation=Strict"
refused "an unknown validation" 422 Invalid 'fieldValidation' "${json[@]}" -d "$(map a)" "$maps?fieldValidation=Loose"
{ printf '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"big"},"data":{"x":"'; head -c 3200000 /dev/zero | tr '\0' x; printf '"}}'; } >"$dir/big.json"
refused "a body over 3 MiB" 413 RequestEntityTooLarge 'limit is 3145728' "${json[@]}" --data-binary "@$dir/big.json" "$maps"
refused "a bad resourceVersion in a list" 400 BadRequest 'resourceVersion' "$maps?resourceVersion=x"
refused "a bad resourceVersion in a write" 500 - 'resourceVersion should not be set on objects to be created' "${json[@]}" -d "$(map version ',"resourceVersion":"1"')" "$maps"
refused "a resourceVersion of the past" 409 Conflict 'the object has been modified' -X PUT "${json[@]}" -d "$(map kube-root-ca.crt ',"resourceVersion":"1"')" "$maps/kube-root-ca.crt"
refused "a bad limit" 400 BadRequest '' "$maps?limit=x"
refused "a bad label selector" 400 BadRequest 'unable to parse requirement' "$maps?labelSelector=a%20b%20c"
refused "a bad field selector" 400 BadRequest 'is not a known field selector' "$maps?fieldSelector=spec.x%3D1"
refused "a bad name" 422 Invalid 'a lowercase RFC 1123 subdomain' "${json[@]}" -d "$(map A_b)" "$maps"
refused "no name" 422 Invalid 'name or generateName is required' "${json[@]}" -d '{"apiVersion":"v1","kind":"ConfigMap"}' "$maps"
refused "another namespace than the path's" 400 BadRequest 'does not match the namespace' "${json[@]}" -d "$(map a ',"namespace":"default"')" "$maps"
refused "a missing namespace" 404 NotFound 'namespaces \\"absent\\" not found' "${json[@]}" -d "$(map a)" $api/api/v1/namespaces/absent/configmaps
refused "a missing object" 404 NotFound 'configmaps \\"absent\\" not found' "$maps/absent"
refused "a name that is taken" 409 AlreadyExists 'configmaps \\"kube-root-ca.crt\\" already exists' "${json[@]}" -d "$(map kube-root-ca.crt)" "$maps"
refused "a verb that the resource has not" 405 MethodNotAllowed 'does not allow this method' -X POST "${json[@]}" -d '{}' "$api/api/v1/componentstatuses"
refused "a malformed JSON patch" 400 BadRequest '' -X PATCH -H 'Content-Type: application/json-patch+json' -d '{"op":' "$maps/kube-root-ca.crt"
refused "a JSON patch to nowhere" 422 Invalid '' -X PATCH -H 'Content-Type: application/json-patch+json' -d '[{"op":"remove","path":"/data/absent"}]' "$maps/kube-root-ca.crt"

# Who asks is not known, or may not.
other=(--cacert "$dir/pki/ca.crt")
patience=0 check "a bad token" answers 401 Unauthorized Unauthorized "${other[@]}" -H 'Authorization: Bearer none' "$maps"
patience=0 check "no credentials" answers 403 Forbidden 'User \\"system:anonymous\\" cannot list resource \\"configmaps\\"' "${other[@]}" "$maps"
patience=0 check "a forbidden verb" answers 403 Forbidden 'User \\"system:kube-proxy\\" cannot create resource \\"configmaps\\" in API group \\"\\" in the namespace \\"bad\\"' \
    "${other[@]}" --cert "$dir/pki/proxy.crt" --key "$dir/pki/proxy.key" "${json[@]}" -d "$(map a)" "$maps"

check "nothing was half-written" counts 1 . k get configmaps -n bad -o name
check "the server is well" says '^ok' curl -s "${admin[@]}" $api/readyz
