use crate::{Environment, Type, compile};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::Schema;

fn environment() -> Environment {
    let pod = Schema::builtin().kind(&GroupVersionKind::new("", "v1", "Pod")).expect("built in");
    Environment::new()
        .with("object", Type::Dyn)
        .with("self", Type::Object(pod))
        .with("request", Type::record("kubernetes.AdmissionRequest", [("name", Type::String), ("dryRun", Type::Bool)]))
        .with("authorizer", Type::Opaque(crate::Opaque::Authorizer))
}

/// The first finding with its column, or the type.
fn check(source: &str) -> String {
    match compile(source, &environment()) {
        Ok(program) => program.result_type().to_string(),
        Err(error) => error.to_string().lines().next().unwrap_or_default().replace("ERROR: <input>:", ""),
    }
}

#[test]
fn types() {
    for (source, want) in [
        ("1 + 2", "int"),
        ("object.a.b == 'x'", "bool"),
        ("object.a + 1", "int"),
        ("self.spec.containers.map(c, c.name)", "list(string)"),
        ("self.spec.containers.filter(c, has(c.image))", "list(io.k8s.api.core.v1.Container)"),
        ("self.metadata.labels", "map(string, string)"),
        ("self.metadata.creationTimestamp.getFullYear()", "int"),
        ("self.apiVersion", "string"),
        ("self.spec.?nodeName.orValue('')", "string"),
        ("self.metadata.?labels['a']", "optional_type(string)"),
        ("request.name.matches('^a')", "bool"),
        ("quantity('1Ki').isLessThan(quantity('2Ki'))", "bool"),
        ("authorizer.group('').resource('pods').check('get').allowed()", "bool"),
        ("authorizer.requestResource.check('get').allowed()", "bool"),
        ("type(1) == int", "bool"),
        ("{'a': 1}.all(k, k == 'a')", "bool"),
        ("[1, 2].exists(i, v, i < v)", "bool"),
        ("{1: 'a'}.transformMap(k, v, k + 1)", "map(int, int)"),
        ("true ? 1 : 2", "int"),
        ("dyn(1) == 'a'", "bool"),
        ("[dyn(1), dyn('a')]", "list(dyn)"),
        ("[]", "list(dyn)"),
        ("[] + [1]", "list(int)"),
        ("[[], [1]]", "list(list(int))"),
        ("[[]] + [[1]]", "list(list(int))"),
        ("{'a': []}.a + ['x']", "list(string)"),
        ("{} == {'a': 1} ? {} : {'a': 1}", "map(string, int)"),
        ("[].map(x, x + 1)", "list(int)"),
        ("[].map(x, x.y)", "list(dyn)"),
        ("[].filter(x, x == 1u)", "list(uint)"),
        ("[].transformMap(i, v, [])", "map(int, list(dyn))"),
        ("optional.none().orValue(1)", "int"),
        ("[optional.none(), optional.of(1)]", "list(optional_type(int))"),
        ("optional.none().optMap(x, x + 1)", "optional_type(int)"),
        ("[].sort()", "list(int)"),
        ("optional.none().optMap(x, -x)", "optional_type(double)"),
        ("[].map(x, x + x)", "list(bytes)"),
        ("[].map(x, x * x)", "list(double)"),
        ("type(1)", "type(int)"),
        ("'%s %d'.format(['a', 1])", "string"),
    ] {
        assert_eq!(check(source), want, "{source}");
    }
}

#[test]
fn findings() {
    for (source, want) in [
        ("self.spec.foo", "1:10: undefined field 'foo'"),
        ("request.nme == 'a'", "1:8: undefined field 'nme'"),
        ("unknown.x", "1:1: undeclared reference to 'unknown' (in container '')"),
        ("foo(1)", "1:4: undeclared reference to 'foo' (in container '')"),
        ("'a' + 1", "1:5: found no matching overload for '_+_' applied to '(string, int)'"),
        ("'a'.contains(1)", "1:13: found no matching overload for 'contains' applied to 'string.(int)'"),
        ("1 && true", "1:1: expected type 'bool' but found 'int'"),
        ("[1, 'a']", "1:5: expected type 'int' but found 'string'"),
        (
            "1.all(x, true)",
            "1:1: expression of type 'int' cannot be range of a comprehension (must be list, map, or dynamic)",
        ),
        ("[1].all(x, x)", "1:12: expected type 'bool' but found 'int'"),
        ("'a'.matches('[')", "1:13: invalid matches argument"),
        ("[dyn(1), 'a']", "1:10: expected type 'dyn' but found 'string'"),
        ("[1, dyn('a')]", "1:8: expected type 'int' but found 'dyn'"),
        ("[1, 'a'] + foo", "1:12: undeclared reference to 'foo' (in container '')"),
        ("{'a': 1, 2: 'x'}", "1:10: expected type 'string' but found 'int'"),
        ("[?1]", "1:3: expected type 'optional_type(int)' but found 'int'"),
        ("[1].filter(x, x)", "1:11: found no matching overload for '_?_:_' applied to '(int, list(int), list(int))'"),
        ("[1].exists_one(x, x)", "1:15: found no matching overload for '_?_:_' applied to '(int, int, int)'"),
        ("1.optMap(x, x)", "1:9: found no matching overload for 'hasValue' applied to 'int.()'"),
        (
            "optional.of(1).optFlatMap(x, x)",
            "1:26: found no matching overload for '_?_:_' applied to '(bool, int, optional_type(dyn))'",
        ),
        (
            "{1: 2}.transformMapEntry(k, v, v)",
            "1:25: found no matching overload for 'cel.@mapInsert' applied to '(map(dyn, dyn), int)'",
        ),
        ("[].sum('a')", "1:7: found no matching overload for 'sum' applied to 'list(dyn).(string)'"),
        ("duration('x')", "1:10: invalid duration argument"),
        ("timestamp('x') < timestamp('y')", "1:11: invalid timestamp argument"),
        ("jsonpatch.escapeKey('a')", "1:20: undeclared reference to 'jsonpatch.escapeKey' (in container '')"),
        ("Object{}", "1:7: undeclared reference to 'Object' (in container '')"),
        ("has(object)", "1:5: invalid argument to has() macro"),
        ("[1].all(x.y, true)", "1:10: argument must be a simple name"),
        ("[1].map(1, 1)", "1:9: argument is not an identifier"),
        ("[1].exists(a, a, a)", "1:15: duplicate variable name: a"),
        ("[1].all(__result__, true)", "1:9: iteration variable overwrites accumulator variable"),
        ("[1].existsOne(x, x > 1)", "1:14: undeclared reference to 'existsOne' (in container '')"),
        ("-duration('1s')", "1:1: found no matching overload for '-_' applied to '(duration)'"),
        ("quantity('1').sign()", "1:19: found no matching overload for 'sign' applied to 'kubernetes.Quantity.()'"),
        (
            "'%d'.format(['a'])",
            "1:14: error during formatting: decimal clause can only be used on integers, was given string",
        ),
        ("true || int('a') == 1", "type conversion error from 'string' to 'int'"),
        ("'a'.find('(') == ''", "error parsing regexp: missing closing ): `(`"),
        ("'%s'.format([])", "1:12: index 0 out of range"),
        ("'%s'.format([1, 2])", "1:12: too many arguments supplied to string.format (expected 1, got 2)"),
        ("'%z'.format([1])", "1:12: could not parse formatting clause: unrecognized formatting clause \"z\""),
    ] {
        assert_eq!(check(source), want, "{source}");
    }
}

#[test]
fn mutations_are_declared_apart() {
    let environment = environment().with_mutations();
    for (source, want) in [
        ("Object{spec: Object.spec{replicas: 1}}", "Object"),
        ("[JSONPatch{op: 'add', path: '/a', value: 1}]", "list(JSONPatch)"),
        ("jsonpatch.escapeKey('a/b')", "string"),
    ] {
        assert_eq!(compile(source, &environment).map(|p| p.result_type().to_string()).as_deref(), Ok(want));
    }
    for (source, want) in [
        ("JSONPatch{operation: 'add'}", "undefined field 'operation'"),
        ("JSONPatch{op: 1}", "expected type of field 'op' is 'string' but provided type is 'int'"),
    ] {
        let error = compile(source, &environment).expect_err(source);
        assert!(error.to_string().contains(want), "{error}");
    }
}
