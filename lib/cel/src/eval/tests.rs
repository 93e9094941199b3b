use crate::{Bindings, Budget, Check, Environment, EvalError, Type, Value, Variable, Verdict, compile, evaluate};
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::Schema;
use serde_json::{Value as Json, json};

fn environment() -> Environment {
    Environment::new().with("object", Type::Dyn).with("variables", Type::Dyn).with("authorizer", Type::Dyn)
}

fn object() -> Json {
    json!({
        "metadata": {"name": "web", "labels": {"app": "web", "tier": "front"}},
        "spec": {"replicas": 3, "ratio": 0.5, "big": 9_223_372_036_854_775_808_u64,
            "containers": [{"name": "a", "image": "x:1"}, {"name": "b"}], "none": null},
    })
}

fn run(source: &str) -> Result<Json, EvalError> {
    let program = compile(source, &environment()).unwrap_or_else(|error| panic!("{source}: {error}"));
    let object = object();
    let bindings = Bindings::new().with("object", Value::json(&object));
    let value = evaluate(&program, &bindings, &mut Budget::per_call())?;
    value.to_json()
}

#[test]
fn values() {
    for (source, want) in [
        ("1 + 2 * 3 - 4 / 2 % 3", json!(5)),
        ("7u + 1u == 8u", json!(true)),
        ("object.spec.replicas > 2.5", json!(true)),
        ("object.spec.replicas == 3.0 && object.spec.ratio < 1", json!(true)),
        ("object.spec.big > 9223372036854775807", json!(true)),
        ("object.metadata.labels.app + '-' + object.metadata.labels['tier']", json!("web-front")),
        ("has(object.spec.replicas) && !has(object.spec.gone)", json!(true)),
        ("object.spec.none == null", json!(true)),
        ("object.spec.containers.map(c, c.name)", json!(["a", "b"])),
        ("object.spec.containers.filter(c, has(c.image))[0].image", json!("x:1")),
        ("object.spec.containers.map(c, has(c.image), c.image)", json!(["x:1"])),
        ("object.spec.containers.exists_one(c, c.name == 'a')", json!(true)),
        ("object.spec.containers.exists(c, c.image == 'x:1')", json!(true)),
        ("object.metadata.labels.all(k, k.size() > 2)", json!(true)),
        ("object.metadata.labels.exists(k, v, k == 'app' && v == 'web')", json!(true)),
        ("[3, 1].transformList(i, v, i + v)", json!([3, 2])),
        ("{'a': 1}.transformMap(k, v, v + 1)", json!({"a": 2})),
        ("{'a': 'b'}.transformMapEntry(k, v, {v: k})", json!({"b": "a"})),
        ("object.?spec.?gone.orValue(7)", json!(7)),
        ("object.spec.?replicas.hasValue() && object[?'x'] == optional.none()", json!(true)),
        ("optional.of(2).optMap(x, x * 2).value()", json!(4)),
        ("[?optional.none(), ?optional.of(1)]", json!([1])),
        ("{?'a': optional.none(), 'b': 1}", json!({"b": 1})),
        ("'a' in {'a': 1} && 2 in [1, 2] && dyn(1.0) in [1]", json!(true)),
        ("[1, 2] + [3] == [1, 2, 3]", json!(true)),
        ("[1, 2, 3, 4].slice(1, 3) + [1].slice(1, 1)", json!([2, 3])),
        ("[[1], [2, 3], []].flatten()", json!([1, 2, 3])),
        ("[dyn(1), dyn([dyn(2), dyn([dyn(3), dyn([4])])])].flatten(2)", json!([1, 2, 3, [4]])),
        ("[dyn(1), dyn([2])].flatten(0)", json!([1, [2]])),
        ("lists.range(4).reverse() + lists.range(-1)", json!([3, 2, 1, 0])),
        ("[1, 2, 1, 3, 2].distinct()", json!([1, 2, 3])),
        ("[dyn(1), dyn(1.0), dyn('a'), dyn(1u), dyn('a')].distinct()", json!([1, "a"])),
        ("['b', 'a', 'c'].sort()", json!(["a", "b", "c"])),
        ("[1.5, -2.0].sort() == [-2.0, 1.5] && [true, false].sort() == [false, true]", json!(true)),
        ("[3, -1, 2].sortBy(e, e * e)", json!([-1, 2, 3])),
        ("object.spec.containers.sortBy(c, has(c.image)).map(c, c.name)", json!(["b", "a"])),
        ("[[3, 1], [2]].sortBy(l, l.sort()[0]).map(l, l.sortBy(x, -x))", json!([[3, 1], [2]])),
        ("{'a': [1]} == {'a': [1]} && {'a': 1} != {'a': 2}", json!(true)),
        ("dyn(1) == 'a'", json!(false)),
        ("type(object.spec.replicas) == int && type('') == string", json!(true)),
        ("type(timestamp('2021-01-01T00:00:00Z')) == google.protobuf.Timestamp", json!(true)),
        ("type(ip('::1')) == net.IP && type(cidr('10.0.0.0/8')) == net.CIDR && net.IP != net.CIDR", json!(true)),
        ("true || 1 / 0 > 1", json!(true)),
        ("1 / 0 > 1 || true", json!(true)),
        ("!(1 / 0 > 1 && false)", json!(true)),
        ("false ? 1 / 0 : 2", json!(2)),
        ("-(-5) == 5 && - 5 < 0 && !!true", json!(true)),
        ("'héllo'.size() == 5 && size([1]) == 1", json!(true)),
    ] {
        assert_eq!(run(source), Ok(want), "{source}");
    }
}

#[test]
fn libraries() {
    for source in [
        "'hello'.substring(1, 3) == 'el' && 'hello'.charAt(4) == 'o' && 'hello'.charAt(5) == ''",
        "'a,b,c'.split(',') == ['a', 'b', 'c'] && 'abc'.split('') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2)[1] == 'b,c'",
        "['a', 'b'].join('-') == 'a-b' && 'aXbX'.replace('X', '') == 'ab' && 'aXbX'.replace('X', '', 1) == 'abX'",
        "'hello'.indexOf('l') == 2 && 'hello'.lastIndexOf('l') == 3 && 'hello'.indexOf('z') == -1",
        "' A '.trim().lowerAscii() == 'a' && strings.quote('a\"b') == '\"a\\\\\"b\"'",
        "'%s is %d (%.2f, %x, %b)'.format(['a', 7, 1.5, 255, 5]) == 'a is 7 (1.50, ff, 101)'",
        "'%s'.format([[1, 'a', true, 1.5, null]]) == '[1, \"a\", true, 1.500000, null]' && '100%%'.format([]) == '100%'",
        "'%s'.format([{'b': 1, 'a': [duration('1s')]}]) == '{\"a\":[duration(\"1s\")], \"b\":1}'",
        "'%f %.1f %e %s'.format([1234.5, 0.25, 1234.5678, 1234567.0]) == '1,234.500000 0.2 1.234568×10⁰³ 1.234567e+06'",
        "'%f %o %X %b'.format(['NaN', -8, 'ab', true]) == 'NaN -10 6162 1'",
        "'abc'.indexOf('c', 9) == -1 && 'abc'.indexOf('', 2) == 2 && 'abc'.lastIndexOf('') == 3 && 'abcb'.lastIndexOf('b', 2) == 1",
        "[dyn(1), dyn('a')].min() == 1 && [dyn(1), dyn('a')].isSorted() && dyn(1).orValue(2) == 1",
        "!has(object.spec.none.foo) && !has(dyn(1).foo) && timestamp('2021-01-01T01:00:00Z').getHours('') == 1",
        "{'a': 1, 'a': 2} == {'a': 2} && dyn({1u: 2}) == {1: 2}",
        "sign(quantity('-1')) == -1 && string(123456789.125) == '1.23456789125e+08'",
        r"'a1'.matches('^\\w\\d$') && !'é'.matches('^\\w$') && !'١'.matches(r'\d') && ':a'.matches(r'^[\w.:][\w.-]{0,127}$')",
        "'abc'.matches('^a.c$') && 'abc 123'.find('[0-9]+') == '123' && '1 2 3'.findAll('[0-9]', 2) == ['1', '2']",
        "[1, 2, 3].sum() == 6 && [2, 1].min() == 1 && ['a', 'b'].max() == 'b' && [1, 2].isSorted()",
        "[1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2 && [1, 2].last().value() == 2",
        "sets.contains([1, 2], [2]) && sets.equivalent([1, 1], [1]) && sets.intersects([1], [1, 2])",
        "quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('50k').add(20).asInteger() == 50020",
        "isQuantity('100m') && !isQuantity('x') && quantity('100m').asApproximateFloat() == 0.1 && !quantity('100m').isInteger()",
        "url('https://a.b:80/c?d=e').getHostname() == 'a.b' && url('/x?d=e%20f').getQuery()['d'] == ['e f']",
        "ip('10.0.0.1').family() == 4 && ip.isCanonical('::1') && !isIP('10.0.0') && ip('127.0.0.1').isLoopback()",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.1.2.3/8').masked().ip() == ip('10.0.0.0')",
        "semver('1.2.3').isLessThan(semver('1.10.0')) && isSemver('v1.2', true) && semver('v01.2', true).major() == 1",
        "!format.dns1123Label().validate('a-b').hasValue() && format.named('uuid').value().validate('x').hasValue()",
        "duration('1h30m') > duration('80m') && duration('90s').getMinutes() == 1 && string(duration('90s')) == '90s'",
        "timestamp('2021-02-03T04:05:06Z').getMonth() == 1 && timestamp('2021-02-03T04:05:06Z').getHours('+01:00') == 5",
        "timestamp('2021-01-02T00:00:00Z') - timestamp('2021-01-01T00:00:00Z') == duration('24h')",
        "int('7') + int(2.9) == 9 && double(1) / 2.0 == 0.5 && string(1.5) == '1.5' && uint(3) == 3u && bool('true')",
        "format.dns1123Label().validate('a') != null && quantity('1') != null && optional.none() != null",
        "b'abc' == bytes('abc') && string(b'abc') == 'abc' && size(b'abc') == 3",
    ] {
        assert_eq!(run(source), Ok(json!(true)), "{source}");
    }
}

#[test]
fn errors() {
    for (source, want) in [
        ("object.spec.gone", "no such key: gone"),
        ("object.metadata.name.x", "no such key: x"),
        ("[1][3]", "index out of bounds: 3"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("optional.none().value()", "optional.none() dereference"),
        ("object.spec.replicas + 'a'", "no such overload"),
        ("[1, 2].all(x, x / 0 > 1)", "division by zero"),
        ("[1, 2].transformMapEntry(i, v, {'a': v})", "insert failed: key a already exists"),
        ("[1, 0].map(x, 1 / x > 0 ? x / 0 : 1)", "division by zero"),
        ("{'a': dyn(1)}.a.b", "no such key: b"),
        ("dyn([1])['a']", "unsupported index type 'string' in list"),
        ("dyn(1).upperAscii()", "no such overload: upperAscii(int)"),
        ("size(dyn(1))", "no such overload: size"),
        ("dyn([]) < dyn(1)", "no such overload: _<_"),
        ("dyn(1).map(x, x)", "got 'types.Int', expected iterable type"),
        ("dyn('a').all(i, x, true)", "unsupported comprehension range type: types.String"),
        ("0u - 1u", "unsigned integer overflow"),
        ("int(object.metadata.name)", "type conversion error from 'string' to 'int'"),
        ("timestamp('0001-01-01T00:00:00Z') - duration('1s')", "timestamp overflow"),
        ("ip('1.2.3')", "IP Address \"1.2.3\" parse error during conversion from string: ParseAddr(\"1.2.3\"): IPv4"),
        ("ip('fe80::1%eth0')", "IP address \"fe80::1%eth0\" with zone value is not allowed"),
        ("cidr('10.0.0.0/33')", "netip.ParsePrefix(\"10.0.0.0/33\"): prefix length out of range"),
        ("semver('1.2')", "No Major.Minor.Patch elements found"),
        ("semver('01.2.3')", "Major number must not contain leading zeroes \"01\""),
        ("'%d'.format([object.metadata.name])", "decimal clause can only be used on integers, was given string"),
        ("'abc'.substring(2, 1)", "invalid substring range. start: 2, end: 1"),
        ("object.metadata.name.matches(object.spec.containers[0].image + '[')", "error parsing regexp"),
        ("quantity('x')", "quantit"),
        ("[1].slice(-1, 1)", "cannot slice(-1, 1), negative indexes not supported"),
        ("[1].slice(1, 0)", "cannot slice(1, 0), start index must be less than or equal to end index"),
        ("[1].slice(0, 2)", "cannot slice(0, 2), list is length 1"),
        ("dyn([1]).flatten(-1)", "level must be non-negative"),
        ("[dyn(1), dyn('a')].sort()", "list elements must have the same type"),
        ("[dyn(null)].sort()", "list elements must be comparable"),
        ("lists.range(9223372036854775807)", "operation cancelled: actual cost limit exceeded"),
    ] {
        let error = run(source).expect_err(source).to_string();
        assert!(error.contains(want), "{source}: {error}");
    }
}

#[test]
fn hostile_expressions_end() {
    for source in [
        "[1,2,3,4,5,6,7,8,9,0].all(a, [1,2,3,4,5,6,7,8,9,0].all(b, [1,2,3,4,5,6,7,8,9,0].all(c, \
         [1,2,3,4,5,6,7,8,9,0].all(d, [1,2,3,4,5,6,7,8,9,0].all(e, [1,2,3,4,5,6,7,8,9,0].all(f, true))))))",
        "'%s'.format(['aaaaaaaaaaaaaaaaaaaaaaaaa'.replace('', 'bbbbbbbbbbbbbbbbbbbbbbbbbbb').replace('', \
         'cccccccccccccccccccccccccccccccccccccccccccc').replace('', 'ddddddddddddddddddddddddddddddddddd').replace('', \
         'eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee').replace('', 'fffffffffffffffffffffffffffffffff')])",
    ] {
        assert_eq!(run(source), Err(EvalError::OverBudget), "{source}");
    }
    let precise = "'%.10001f'.format(dyn([1.0]))";
    assert_eq!(run(precise).map_err(|e| e.to_string().contains("precision")), Err(true));
    // Each line is twice as long as the one before, which upstream counts as one step.
    let doubled = (0..30).fold("[1, 2]".to_owned(), |list, _| format!("[{list}].map(l, l + l)[0]"));
    assert_eq!(run(&doubled), Err(EvalError::OverBudget));
}

#[test]
fn what_may_nest_runs() {
    assert_eq!(run(&format!("1{}", " + 1".repeat(190))), Ok(json!(191)));
    assert_eq!(run(&format!("{}1{}", "[".repeat(70), "]".repeat(70))).map(|v| v.is_array()), Ok(true));
    assert_eq!(run(&format!("{}1", "false ? 0 : ".repeat(70))), Ok(json!(1)));
}

#[test]
fn variables_are_lazy_and_remembered() {
    let variable = |name: &str, source: &str| Variable {
        name: name.into(),
        program: compile(source, &environment()).map_err(|error| error.to_string()),
    };
    let variables = [
        variable("broken", "1 / 0"),
        variable("replicas", "object.spec.replicas"),
        variable("twice", "variables.replicas * 2"),
        variable("wrong", "unknown"),
    ];
    let object = object();
    let programs = ["variables.twice == 6", "variables.broken == 1", "variables.gone", "variables.wrong == 1"]
        .map(|source| (source, compile(source, &environment()).expect("compiles")));
    let bindings = Bindings::new().with("object", Value::json(&object)).with_variables(&variables);
    let run = |source: &str| {
        let (_, program) = programs.iter().find(|(of, _)| *of == source).expect("compiled above");
        let mut budget = Budget::per_call();
        let value = evaluate(program, &bindings, &mut budget).map(|v| v.to_json().expect("JSON"));
        (value, Budget::per_call().left() - budget.left())
    };
    let (first, dear) = run("variables.twice == 6");
    let (second, cheap) = run("variables.twice == 6");
    assert_eq!((first, second), (Ok(json!(true)), Ok(json!(true))));
    assert!(cheap < dear, "{cheap} {dear}");
    for (source, want) in [
        ("variables.broken == 1", "composited variable \"broken\" fails to evaluate: division by zero"),
        ("variables.wrong == 1", "composited variable \"wrong\" fails to compile: ERROR: <input>:1:1: undeclared"),
    ] {
        let error = run(source).0.expect_err(source).to_string();
        assert!(error.starts_with(want), "{error}");
    }
    assert_eq!(run("variables.gone").0, Err(EvalError::NoSuchKey("gone".into())));
}

#[test]
fn typed_objects_have_times_and_escaped_names() {
    let pod = Schema::builtin().kind(&GroupVersionKind::new("", "v1", "Pod")).expect("built in");
    let environment = Environment::new().with("self", Type::Object(pod.clone()));
    let value = json!({"kind": "Pod", "metadata": {"namespace": "a", "creationTimestamp": "2021-01-01T00:00:00Z",
        "finalizers": ["x", "y"]}, "spec": {"containers": []}});
    for source in [
        "self.metadata.creationTimestamp < timestamp('2022-01-01T00:00:00Z')",
        "self.metadata.__namespace__ == 'a' && self.kind == 'Pod'",
        "self.metadata.finalizers == ['y', 'x']",
    ] {
        let program = compile(source, &environment).unwrap_or_else(|error| panic!("{error}"));
        let bindings = Bindings::new().with("self", Value::typed(&value, &pod));
        let got = evaluate(&program, &bindings, &mut Budget::per_call());
        assert_eq!(got.map(|v| v.as_bool()), Ok(Some(true)), "{source}");
    }
}

#[test]
fn objects_are_built_by_their_path() {
    let environment = environment().with_mutations();
    for (source, want) in [
        ("Object{spec: Object.spec{replicas: object == null ? 1 : 2}}", Ok(json!({"spec": {"replicas": 2}}))),
        ("Object{spec: Object.other{}}", Err("unexpected type name \"Object.other\", expected \"Object.spec\", which")),
        ("Object{spec: Object.spec{list: [Object.spec.list{a: 1}]}}", Ok(json!({"spec": {"list": [{"a": 1}]}}))),
        (
            "Object{spec: Object.spec{list: [Object.spec{}]}}",
            Err("unexpected type name \"Object.spec\", expected \"Object.spec.list\", which"),
        ),
        (
            "[JSONPatch{op: 'add', path: '/a', value: {'b': 1}}]",
            Ok(json!([{"op": "add", "path": "/a", "value": {"b": 1}}])),
        ),
    ] {
        let program = compile(source, &environment).unwrap_or_else(|error| panic!("{error}"));
        let object = object();
        let bindings = Bindings::new().with("object", Value::json(&object));
        let value = evaluate(&program, &bindings, &mut Budget::per_call()).unwrap_or_else(|error| panic!("{error}"));
        match (value.misnamed(), want) {
            (None, Ok(want)) => assert_eq!(value.to_json(), Ok(want), "{source}"),
            (Some(why), Err(want)) => assert!(why.starts_with(want), "{source}: {why}"),
            (why, _) => panic!("{source}: {why:?}"),
        }
    }
}

struct OnlyGet;

impl crate::Authorize for OnlyGet {
    fn authorize(&self, check: &Check) -> Verdict {
        let allowed = check.verb == "get" && check.resource == "pods" && check.namespace == "n";
        Verdict { allowed, reason: "because".into(), error: None }
    }
}

#[test]
fn authorization() {
    let request = Check { resource: "pods".into(), namespace: "n".into(), ..Check::default() };
    for (source, want) in [
        ("authorizer.group('').resource('pods').namespace('n').check('get').allowed()", true),
        ("authorizer.group('').resource('pods').check('get').allowed()", false),
        ("authorizer.requestResource.check('get').reason() == 'because'", true),
        ("authorizer.path('/x').check('get').allowed()", false),
        ("authorizer.serviceAccount('a', 'b').path('/x').check('get').errored()", false),
    ] {
        let program = compile(source, &environment()).unwrap_or_else(|error| panic!("{error}"));
        let bindings = Bindings::new().with("authorizer", Value::authorizer(&OnlyGet, request.clone()));
        let got = evaluate(&program, &bindings, &mut Budget::new(2_000_000)).map(|v| v.as_bool());
        assert_eq!(got, Ok(Some(want)), "{source}");
    }
}
