//! What expressions in admission policies, match conditions and device selectors may name.
//!
//! Upstream: `apiserver/pkg/admission/plugin/cel/compile.go`. What policies cost is only known when they
//! run: nobody estimates them.

pub mod devices;
pub mod schema;

use cel::{CompileError, Environment, Opaque, Program, Type};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What an expression has besides the request and its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Extras {
    params: bool,
    authorizer: bool,
}

/// `object`, `oldObject`, `request`, `namespaceObject`, and the extras.
fn admission(extras: Extras) -> Environment {
    let mut environment = Environment::new()
        .with("object", Type::Dyn)
        .with("oldObject", Type::Dyn)
        .with("request", request())
        .with("namespaceObject", namespace());
    if extras.params {
        environment = environment.with("params", Type::Dyn);
    }
    if extras.authorizer {
        environment = environment.with("authorizer", Type::Opaque(Opaque::Authorizer));
    }
    environment
}

/// Compiles the expressions of one policy, webhook or selector; errors read as upstream's do.
#[derive(Clone, Debug)]
pub struct Compiler {
    params: bool,
    /// What `variables` has so far; `None` if nothing is composed of variables.
    variables: Option<BTreeMap<String, Type>>,
    /// Types of `object` and the like, where they are known.
    types: Vec<(&'static str, Type)>,
}

impl Compiler {
    /// For expressions that have no `variables`.
    pub fn plain(params: bool) -> Self {
        Self { params, variables: None, types: Vec::new() }
    }

    /// For expressions over `variables`.
    pub fn composed(params: bool) -> Self {
        Self { variables: Some(BTreeMap::new()), ..Self::plain(params) }
    }

    /// With the types that variables have; without, they are dynamic.
    #[must_use]
    pub fn with_types(mut self, types: Vec<(&'static str, Type)>) -> Self {
        self.types = types;
        self
    }

    /// Compiles a variable; those that follow, and all other expressions, see it.
    pub fn variable(&mut self, name: &str, source: &str) -> Result<Program, String> {
        let program = self.any(source);
        let of = program.as_ref().map(|program| remembered(program.result_type())).unwrap_or_default();
        self.variables.get_or_insert_default().insert(name.to_owned(), of);
        program
    }

    /// An expression of any type.
    pub fn any(&self, source: &str) -> Result<Program, String> {
        self.compile(source, &self.environment(true))
    }

    /// A condition or validation.
    pub fn condition(&self, source: &str) -> Result<Program, String> {
        must_be(self.any(source)?, &["bool"])
    }

    /// What a violation is explained by; it cannot ask the authorizer.
    pub fn message(&self, source: &str) -> Result<Program, String> {
        must_be(self.compile(source, &self.environment(false))?, &["string"])
    }

    /// The value of an audit annotation.
    pub fn annotation(&self, source: &str) -> Result<Program, String> {
        must_be(self.any(source)?, &["string", "null_type"])
    }

    /// A mutation that is applied as a configuration.
    pub fn apply_configuration(&self, source: &str) -> Result<Program, String> {
        must_be(self.compile(source, &self.environment(true).with_mutations())?, &["Object"])
    }

    /// A mutation by the operations of a JSON patch.
    pub fn json_patch(&self, source: &str) -> Result<Program, String> {
        must_be(self.compile(source, &self.environment(true).with_mutations())?, &["list(JSONPatch)"])
    }

    fn environment(&self, authorizer: bool) -> Environment {
        let mut environment = admission(Extras { params: self.params, authorizer });
        for (name, of) in &self.types {
            environment = environment.with(name, of.clone());
        }
        match &self.variables {
            Some(fields) => {
                let fields = fields.iter().map(|(name, of)| (name.as_str(), of.clone()));
                environment.with("variables", Type::record("kubernetes.variables", fields))
            }
            None => environment,
        }
    }

    fn compile(&self, source: &str, environment: &Environment) -> Result<Program, String> {
        cel::compile(source, environment).map_err(|error: CompileError| match self.types.is_empty() {
            true => error.reason(),
            false => error.to_string(),
        })
    }
}

/// The program, if its result is exactly of one of these types: what is dynamic is not.
fn must_be(program: Program, types: &[&str]) -> Result<Program, String> {
    let of = program.result_type().declared();
    match types {
        _ if types.contains(&of.as_str()) => Ok(program),
        [one] => Err(format!("must evaluate to {one} but got {of}")),
        all => Err(format!("must evaluate to one of [{}] but got {of}", all.join(" "))),
    }
}

/// The type that later expressions know a variable by: what is neither plain nor made of plain
/// types is dynamic to them.
fn remembered(of: &Type) -> Type {
    match of {
        Type::Bool
        | Type::Bytes
        | Type::Double
        | Type::Duration
        | Type::Int
        | Type::Null
        | Type::String
        | Type::Timestamp
        | Type::Uint => of.clone(),
        Type::List(of) => Type::list(remembered(of)),
        Type::Map(key, value) => Type::Map(Arc::new(remembered(key)), Arc::new(remembered(value))),
        _ => Type::Dyn,
    }
}

fn request() -> Type {
    let kind = || {
        Type::record(
            "kubernetes.GroupVersionKind",
            [("group", Type::String), ("version", Type::String), ("kind", Type::String)],
        )
    };
    let resource = || {
        Type::record(
            "kubernetes.GroupVersionResource",
            [("group", Type::String), ("version", Type::String), ("resource", Type::String)],
        )
    };
    let user = Type::record(
        "kubernetes.UserInfo",
        [
            ("username", Type::String),
            ("uid", Type::String),
            ("groups", Type::list(Type::String)),
            ("extra", Type::map(Type::list(Type::String))),
        ],
    );
    Type::record(
        "kubernetes.AdmissionRequest",
        [
            ("kind", kind()),
            ("resource", resource()),
            ("subResource", Type::String),
            ("requestKind", kind()),
            ("requestResource", resource()),
            ("requestSubResource", Type::String),
            ("name", Type::String),
            ("namespace", Type::String),
            ("operation", Type::String),
            ("userInfo", user),
            ("dryRun", Type::Bool),
            ("options", Type::Dyn),
        ],
    )
}

/// Without the members that upstream does not show: owners and managed fields.
fn namespace() -> Type {
    let texts = || Type::list(Type::String);
    let metadata = Type::record(
        "kubernetes.NamespaceMetadata",
        [
            ("name", Type::String),
            ("generateName", Type::String),
            ("namespace", Type::String),
            ("labels", Type::map(Type::String)),
            ("annotations", Type::map(Type::String)),
            ("UID", Type::String),
            ("creationTimestamp", Type::Timestamp),
            ("deletionGracePeriodSeconds", Type::Int),
            ("deletionTimestamp", Type::Timestamp),
            ("generation", Type::Int),
            ("resourceVersion", Type::String),
            ("finalizers", texts()),
        ],
    );
    let condition = Type::record(
        "kubernetes.NamespaceCondition",
        [
            ("status", Type::String),
            ("type", Type::String),
            ("lastTransitionTime", Type::Timestamp),
            ("message", Type::String),
            ("reason", Type::String),
        ],
    );
    let status =
        Type::record("kubernetes.NamespaceStatus", [("conditions", Type::list(condition)), ("phase", Type::String)]);
    let spec = Type::record("kubernetes.NamespaceSpec", [("finalizers", texts())]);
    Type::record("kubernetes.Namespace", [("metadata", metadata), ("spec", spec), ("status", status)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_checked() {
        let compiler = Compiler::plain(false);
        assert!(compiler.condition("object.spec.replicas <= 5 && request.name != ''").is_ok());
        for (source, want) in [
            ("request.nme == ''", "compilation failed: ERROR: <input>:1:8: undefined field 'nme'"),
            ("params.x == 1", "undeclared reference to 'params'"),
            ("variables.x == 1", "undeclared reference to 'variables'"),
            ("namespaceObject.spec.x == 1", "undefined field 'x'"),
            ("'a'", "must evaluate to bool but got string"),
            ("object.spec.paused", "must evaluate to bool but got dyn"),
            ("[timestamp('2021-01-01T00:00:00Z')]", "must evaluate to bool but got list(google.protobuf.Timestamp)"),
        ] {
            let error = compiler.condition(source).expect_err(source);
            assert!(error.contains(want), "{source}: {error}");
        }
        assert_eq!(
            compiler.annotation("1").map(drop),
            Err("must evaluate to one of [string null_type] but got int".into())
        );
        assert!(compiler.message("authorizer.path('/').check('get').reason()").is_err());
        assert!(compiler.annotation("null").is_ok());
    }

    #[test]
    fn variables_are_typed_in_order() {
        let mut compiler = Compiler::composed(true);
        assert!(compiler.variable("early", "variables.late").is_err_and(|e| e.contains("undefined field 'late'")));
        assert!(compiler.variable("late", "params.x + object.y == 1").is_ok());
        assert!(compiler.variable("names", "['a']").is_ok());
        assert!(compiler.condition("variables.late").is_ok());
        let error = compiler.condition("variables.names[0] > 1").expect_err("a text");
        assert!(error.contains("found no matching overload for '_>_' applied to '(string, int)'"), "{error}");
    }

    #[test]
    fn mutations_have_types() {
        let compiler = Compiler::composed(false);
        assert!(compiler.condition("cel.bind(a, 1, a == 1)").is_err());
        assert!(compiler.apply_configuration("Object{spec: Object.spec{replicas: 1}}").is_ok());
        assert!(compiler.json_patch("[JSONPatch{op: 'remove', path: '/a/' + jsonpatch.escapeKey('b/c')}]").is_ok());
        assert!(compiler.json_patch("has(object.a) ? [] : [JSONPatch{op: 'add', path: '/a', value: 1}]").is_ok());
        for (got, want) in [
            (compiler.apply_configuration("Object.spec{}"), "must evaluate to Object but got Object.spec"),
            (compiler.json_patch("[]"), "must evaluate to list(JSONPatch) but got list(dyn)"),
            (compiler.json_patch("['a']"), "must evaluate to list(JSONPatch) but got list(string)"),
        ] {
            assert_eq!(got.map(drop), Err(want.to_owned()));
        }
        assert!(compiler.condition("Object{} == Object{}").is_err());
    }
}
