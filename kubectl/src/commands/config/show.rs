//! `config view`, `get-contexts`, `get-clusters`, `get-users`, `current-context`.

use crate::cli::config::{GetContexts, View};
use crate::cli::{Global, PrintFlags};
use crate::kubeconfig::{Access, ORDER, view};
use crate::print::table::Grid;
use crate::print::{Printer, Set, json};
use crate::writing::{Failures, usage};
use anyhow::bail;
use apimachinery::Value;
use std::io::Write;

pub(super) fn current_context(access: &Access) -> anyhow::Result<()> {
    let config = access.load()?;
    if config.current_context().is_empty() {
        bail!("current-context is not set");
    }
    crate::outln!("{}", config.current_context());
    Ok(())
}

pub(super) fn names(access: &Access, list: &str) -> anyhow::Result<()> {
    let config = access.load()?;
    crate::outln!("NAME");
    for (name, _) in config.list(list).into_iter().flatten() {
        crate::outln!("{name}");
    }
    Ok(())
}

pub(super) fn contexts(access: &Access, flags: &GetContexts) -> anyhow::Result<()> {
    if !matches!(flags.output.as_str(), "" | "name") {
        bail!(
            "--output {} is not available in kubectl config get-contexts; resetting to default output format",
            flags.output
        );
    }
    let config = access.load()?;
    let asked = |name: &str| flags.words.is_empty() || flags.words.iter().any(|w| w == name);
    let found: Vec<(&String, &Value)> =
        config.list("contexts").into_iter().flatten().filter(|(name, _)| asked(name)).collect();
    let missing = flags.words.iter().filter(|w| config.entry("contexts", w).is_none());
    let failures = missing.map(|name| anyhow::anyhow!("context {name} not found")).collect();
    if flags.output == "name" {
        for (name, _) in &found {
            crate::outln!("{name}");
        }
        return Failures::outcome(failures);
    }
    let header = ["CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE"].map(str::to_owned).to_vec();
    let row = |(name, context): &(&String, &Value)| {
        let text = |key: &str| context.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let current = if config.current_context() == name.as_str() { "*" } else { "" };
        vec![current.to_owned(), (*name).clone(), text("cluster"), text("user"), text("namespace")]
    };
    crate::out!("{}", Grid { header, rows: found.iter().map(row).collect() }.render(flags.no_headers));
    Failures::outcome(failures)
}

pub(super) fn view(access: &Access, flags: &View, global: &Global) -> anyhow::Result<()> {
    if !flags.words.is_empty() {
        return Err(usage("config view", format!("unexpected arguments: [{}]", flags.words.join(" "))));
    }
    let output = if flags.print.output.is_empty() { "yaml".to_owned() } else { flags.print.output.clone() };
    let print = PrintFlags { output, ..flags.print.clone() };
    let Some(mut printer) = Printer::of(&print, Set::Objects, false)? else { bail!("no output format") };
    let mut config = match flags.merge.unwrap_or(!access.is_explicit()) {
        true => access.load()?,
        false if !access.is_explicit() => bail!("if merge==false a precise file must be specified"),
        false => access.load_explicit()?,
    };
    if flags.minify {
        if let Some(context) = &global.context {
            config.tree.insert("current-context".into(), context.as_str().into());
        }
        view::minify(&mut config)?;
    }
    if flags.flatten {
        view::flatten(&mut config)?;
    } else if !flags.raw {
        view::redact(&mut config);
    }
    let value = view::external(&config);
    let mut out = std::io::stdout().lock();
    match printer {
        Printer::Json => out.write_all(json::ordered(&value, ORDER, 4).as_bytes())?,
        _ => printer.print(&mut out, &value)?,
    }
    Ok(())
}
