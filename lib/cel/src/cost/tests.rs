use crate::{
    Authorize, Bindings, Budget, Check, Environment, EvalError, Opaque, Type, Value, Verdict, compile, evaluate,
};
use serde_json::json;

struct OnlyGet;

impl Authorize for OnlyGet {
    fn authorize(&self, check: &Check) -> Verdict {
        let allowed = check.verb == "get";
        Verdict { allowed, reason: if allowed { "because".into() } else { String::new() }, error: None }
    }
}

fn environment() -> Environment {
    let nested = Type::record("T.nested", [("name", Type::String), ("v", Type::Int)]);
    let own = [
        ("n", Type::Int),
        ("s", Type::String),
        ("d", Type::Double),
        ("b", Type::Bool),
        ("list", Type::list(Type::Int)),
        ("names", Type::list(Type::String)),
        ("labels", Type::map(Type::String)),
        ("nested", Type::list(nested)),
    ];
    Environment::new()
        .with("self", Type::record("T", own))
        .with("object", Type::Dyn)
        .with("when", Type::Timestamp)
        .with("took", Type::Duration)
        .with("authorizer", Type::Opaque(Opaque::Authorizer))
        .with_binding()
}

/// What an expression costs within a limit, and whether it has ended.
fn spent(source: &str, limit: u64) -> (u64, Result<(), EvalError>) {
    let program = compile(source, &environment()).unwrap_or_else(|error| panic!("{source}: {error}"));
    let own = json!({"n": 3, "s": "héllo wörld", "d": 1.5, "b": true, "list": [3, 1, 2], "names": ["bob", "alice"],
        "labels": {"app": "web", "tier": "front"}, "nested": [{"name": "x", "v": 1}, {"name": "y"}]});
    let object = json!({"spec": {"replicas": 3}});
    let bindings = Bindings::new()
        .with("self", Value::json(&own))
        .with("object", Value::json(&object))
        .with("when", Value::Timestamp(crate::Moment::parse("2021-02-03T04:05:06Z").expect("a time")))
        .with("took", Value::Duration(5_400_000_000_000))
        .with("authorizer", Value::authorizer(&OnlyGet, Check::default()));
    let mut budget = Budget::new(limit);
    let value = evaluate(&program, &bindings, &mut budget).map(drop);
    (limit - budget.left(), value)
}

/// The numbers are those that upstream counts.
#[test]
fn expressions_cost_what_they_cost_upstream() {
    for (source, cost) in [
        ("1 + 2", 1),
        ("self.n", 2),
        ("self.nested[0].name", 4),
        ("[1, 2, 3]", 0),
        ("[1, self.n]", 12),
        ("{'a': 1}", 0),
        ("{'a': self.n}['a']", 34),
        ("[self.n][0]", 14),
        ("[[1], [2]].size()", 1),
        ("1 in [1, 2]", 0),
        ("self.n in [1, 2]", 2),
        ("self.n in self.list", 7),
        ("'app' in self.labels", 3),
        ("'a' + 'b'", 1),
        ("self.s + self.s", 7),
        ("self.s == self.s", 6),
        ("self.list == [3, 1, 2]", 3),
        ("self.names != ['bob']", 3),
        ("quantity('1Ki') == quantity('1024')", 3),
        ("self.s < 'abcdefghijklmnopqrstuvwxyz'", 4),
        ("dyn(self.s) < dyn('b')", 4),
        ("has(self.n)", 1),
        ("has(self.nested[0].v)", 3),
        ("has(object.spec.gone)", 2),
        ("object.spec.replicas", 3),
        ("object.spec.gone == 1 || true", 4),
        ("self.?s", 2),
        ("self.labels[?'gone']", 2),
        ("self.labels[?'app'].orValue('x')", 3),
        ("optional.none().or(optional.of(1))", 2),
        ("optional.of(self.n).orValue(self.n)", 3),
        ("self.b ? self.n : 1", 3),
        ("(self.b ? self.nested[0] : self.nested[1]).name", 5),
        ("self.list[self.n - 1]", 6),
        ("self.list[self.nested[0].v]", 6),
        ("self.list.all(x, x > 0)", 18),
        ("self.list.all(x, x > 2)", 15),
        ("[1, 2, 3].all(x, x < 2)", 13),
        ("self.list.exists(x, x == 1)", 18),
        ("self.list.exists_one(x, x == 1)", 12),
        ("self.list.map(x, x * 2)", 45),
        ("self.list.map(x, x > 1, x * 2)", 37),
        ("self.list.map(x, 1)", 9),
        ("self.list.filter(x, x > 1)", 35),
        ("self.labels.all(k, v, k != v)", 15),
        ("self.list.exists(i, x, i == x)", 20),
        ("self.list.transformList(i, x, i + x)", 48),
        ("self.labels.transformMap(k, v, v + k)", 15),
        ("self.labels.transformMap(k, v, k == 'app', v)", 11),
        ("self.labels.transformMapEntry(k, v, {v: k})", 71),
        ("optional.of(self.n).optMap(x, x + x)", 12),
        ("self.?s.optFlatMap(x, optional.of(x + 'a'))", 10),
        ("optional.none().optMap(x, x)", 3),
        ("self.list.sortBy(x, -x)", 76),
        ("self.names.sort()", 21),
        ("self.list.distinct()", 31),
        ("self.list.reverse()", 16),
        ("self.list.slice(0, 2)", 15),
        ("[[1], [2, 3]].flatten()", 13),
        ("lists.range(5)", 16),
        ("self.list.sum()", 5),
        ("self.names.isSorted()", 2),
        ("self.names.max()", 2),
        ("['abcdefghijklmnopqrstuvwxyz', 'b'].min()", 2),
        ("self.list.indexOf(1)", 5),
        ("'abcdefghijklmnop'.indexOf('p')", 1),
        ("self.s.contains('wör')", 4),
        ("self.s.startsWith('h')", 4),
        ("self.s.matches('^h.*d$')", 6),
        ("matches(self.s, '^h.*d$')", 3),
        ("self.s.find('[a-z]+')", 6),
        ("self.s.findAll('[a-z]')", 6),
        ("self.s.replace('l', 'LL')", 5),
        ("self.s.split('o')", 5),
        ("self.names.join(', ')", 4),
        ("self.s.upperAscii()", 4),
        ("self.s.substring(1, 3)", 4),
        ("self.s.charAt(2)", 3),
        ("strings.quote(self.s)", 4),
        ("'%s is %d'.format([self.s, self.n])", 15),
        ("size(self.s) + self.s.size()", 7),
        ("string(self.n)", 3),
        ("string(bytes(self.s))", 6),
        ("string(bytes('abc'))", 0),
        ("int('7') + int(self.d)", 4),
        ("timestamp('2021-01-01T00:00:00Z') < when", 2),
        ("duration('1h') + took", 2),
        ("when.getFullYear()", 2),
        ("type(self.n) == int", 4),
        ("sets.contains(self.list, [1])", 6),
        ("sets.equivalent(self.list, [1, 2, 3])", 21),
        ("url('https://example.com/path').getHost()", 4),
        ("isURL('https://example.com/path')", 1),
        ("ip('10.0.0.1').family()", 2),
        ("isIP('10.0.0.1')", 1),
        ("ip.isCanonical('2001:db8::1')", 3),
        ("cidr('10.0.0.0/8').containsIP('10.0.0.1')", 3),
        ("cidr('10.0.0.0/8').containsIP(ip('10.0.0.1'))", 3),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", 6),
        ("cidr('10.0.0.0/8').ip()", 2),
        ("quantity('1.5Gi').add(quantity('1')).isGreaterThan(quantity('1Gi'))", 5),
        ("isQuantity('1.5Gi')", 1),
        ("semver('1.2.3').major()", 2),
        ("semver('1.2.3').isLessThan(semver('1.10.0'))", 3),
        ("format.named('uuid').hasValue()", 2),
        ("format.dns1123Label().validate('a-b').hasValue()", 10),
        ("format.uri().validate('https://example.com').hasValue()", 554),
        ("authorizer.path('/healthz').check('get').allowed()", 350_003),
        ("authorizer.group('').resource('pods').fieldSelector('a=b').check('get').reason()", 350_115),
        ("1 / 0 > 1 || self.n > 1", 5),
        ("[1, 2].map(x, x / 0).size() > 1 || self.n > 1", 34),
        ("[1, 0].exists_one(x, 1 / x == 1) || self.n > 1", 13),
        ("{'a': 1, 'b': 0}.transformMap(k, v, 1 / v).size() > 1 || self.n > 1", 16),
    ] {
        assert_eq!(spent(source, 1 << 30), (cost, Ok(())), "{source}");
        assert_eq!(spent(source, cost).1, Ok(()), "{source} within its cost");
        if cost > 0 {
            assert_eq!(spent(source, cost - 1).1, Err(EvalError::OverBudget), "{source} within less");
        }
    }
}

/// What is bound costs when it is first used.
#[test]
fn names_are_bound_when_they_are_used() {
    for (source, cost) in [
        ("cel.bind(x, self.n, 1)", 0),
        ("cel.bind(x, self.n, x + x)", 5),
        ("cel.bind(x, 1 / 0, self.b || x > 1)", 2),
        ("[1, 2].all(x, cel.bind(y, x + 1, y > x))", 17),
    ] {
        assert_eq!(spent(source, 1 << 30), (cost, Ok(())), "{source}");
    }
}
