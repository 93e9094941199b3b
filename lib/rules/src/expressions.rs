//! What expressions in admission policies, match conditions and device selectors may name.
//!
//! Upstream: `apiserver/pkg/admission/plugin/cel/compile.go`,
//! `dynamic-resource-allocation/cel/compile.go`.

use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::Schema;
use cel::{CompileError, Environment, Opaque, Program, Type};

/// What an expression has besides the request and its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// `params`
    pub params: bool,
    /// `authorizer`
    pub authorizer: bool,
}

/// `object`, `oldObject`, `request`, `namespaceObject`, and the extras.
pub fn admission(extras: Extras) -> Environment {
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

/// Compiles an expression; the error reads as upstream's does.
pub fn compile(source: &str, environment: &Environment) -> Result<Program, String> {
    cel::compile(source, environment).map_err(|error: CompileError| format!("compilation failed: {error}"))
}

/// Compiles an expression that has to be of one of these types; the last one names them.
pub fn compile_as(
    source: &str,
    environment: &Environment,
    fits: fn(&Type) -> bool,
    named: &str,
) -> Result<Program, String> {
    let program = compile(source, environment)?;
    match fits(program.result_type()) || matches!(program.result_type(), Type::Dyn) {
        true => Ok(program),
        false => Err(format!("must evaluate to {named}")),
    }
}

/// Compiles a condition.
pub fn compile_bool(source: &str, environment: &Environment) -> Result<Program, String> {
    compile_as(source, environment, |of| matches!(of, Type::Bool), "bool")
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

fn namespace() -> Type {
    let kind = GroupVersionKind::new("", "v1", "Namespace");
    Schema::builtin().kind(&kind).map_or(Type::Dyn, Type::Object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_checked() {
        let environment = admission(Extras::default());
        assert!(compile_bool("object.spec.replicas <= 5 && request.name != ''", &environment).is_ok());
        for (source, want) in [
            ("request.nme == ''", "compilation failed: ERROR: <input>:1:8: undefined field 'nme'"),
            ("params.x == 1", "undeclared reference to 'params'"),
            ("namespaceObject.spec.x == 1", "undefined field 'x'"),
            ("'a'", "must evaluate to bool"),
        ] {
            let error = compile_bool(source, &environment).expect_err(source);
            assert!(error.contains(want), "{source}: {error}");
        }
    }
}
