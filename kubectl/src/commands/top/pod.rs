//! `top pod`.

use super::{Session, available, checked, measured, metrics, quantity, shown, sort_key};
use crate::cli::top::Pod;
use crate::commands::with_query;
use crate::print::table::Grid;
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;

/// How long a pod may be without metrics, in seconds.
const DELAY: i64 = 120;

pub(super) async fn run(session: &Session, flags: &Pod) -> anyhow::Result<()> {
    let selects = !flags.usage.selector.is_empty() || !flags.field_selector.is_empty();
    let name = checked(&flags.usage, "pod", selects, "selector")?;
    available(session).await?;
    let scope = match flags.all_namespaces {
        true => String::new(),
        false => format!("/namespaces/{}", session.namespace),
    };
    let query = [("labelSelector", flags.usage.selector.as_str()), ("fieldSelector", &flags.field_selector)];
    let found = metrics(session, &format!("/apis/metrics.k8s.io/v1beta1{scope}/pods"), name, &query).await?;
    if found.is_empty() {
        explain(session, flags, &query).await?;
        match flags.all_namespaces {
            true => eprintln!("No resources found"),
            false => eprintln!("No resources found in {} namespace.", session.namespace),
        }
        return Ok(());
    }
    crate::out!("{}", table(flags, found).render(flags.usage.no_headers));
    Ok(())
}

/// Why there is nothing, if there should be something.
async fn explain(session: &Session, flags: &Pod, query: &[(&str, &str)]) -> anyhow::Result<()> {
    let scope = if flags.all_namespaces { String::new() } else { format!("/namespaces/{}", session.namespace) };
    let list = session.client.get(&with_query(&format!("/api/v1{scope}/pods"), query), "application/json").await?;
    let pods = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let now = jiff::Timestamp::now();
    for pod in pods {
        let created: jiff::Timestamp = pod.meta_str("creationTimestamp").parse().unwrap_or(now);
        let age = now.as_second() - created.as_second();
        if age > DELAY {
            let age = format!("{}h{}m{}s", age / 3600, age / 60 % 60, age % 60);
            let age = age.strip_prefix("0h").unwrap_or(&age);
            bail!("Metrics not available for pod {}/{}, age: {age}", pod.namespace(), pod.name());
        }
    }
    if pods.is_empty() { Ok(()) } else { bail!("metrics not available yet") }
}

fn table(flags: &Pod, mut found: Vec<Value>) -> Grid {
    let measured = measured(&flags.usage);
    let by = flags.usage.sort_by.as_str();
    found.sort_by(|a, b| {
        let place = |m: &Value| {
            (if flags.all_namespaces { m.namespace().to_owned() } else { String::new() }, m.name().to_owned())
        };
        match by {
            "" => place(a).cmp(&place(b)),
            by => sort_key(by, &total(a, by)).cmp(&sort_key(by, &total(b, by))),
        }
    });
    let lead = usize::from(flags.all_namespaces) + usize::from(flags.containers);
    let mut rows = Vec::new();
    for pod in &found {
        rows.extend(pod_rows(flags, pod, &measured));
    }
    if flags.sum {
        rows.extend(sum(&found, &measured, lead));
    }
    rows.iter_mut().for_each(|row| row.push(String::new()));
    let mut header: Vec<String> = Vec::new();
    header.extend(flags.all_namespaces.then(|| "NAMESPACE".to_owned()));
    header.extend(flags.containers.then(|| "POD".to_owned()));
    let titles = ["NAME", "CPU(cores)", "MEMORY(bytes)", "SWAP(bytes)"];
    header.extend(titles[..=measured.len()].iter().map(|t| (*t).to_owned()));
    header.push(String::new());
    Grid { header, rows }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> + Clone {
    pod["containers"].as_array().into_iter().flatten()
}

/// All containers together.
fn total(pod: &Value, resource: &str) -> Quantity {
    containers(pod).map(|c| quantity(&c["usage"], resource)).fold(Quantity::ZERO, |sum, one| sum + one)
}

fn pod_rows(flags: &Pod, pod: &Value, measured: &[&str]) -> Vec<Vec<String>> {
    let mut lead: Vec<String> = Vec::new();
    lead.extend(flags.all_namespaces.then(|| pod.namespace().to_owned()));
    lead.push(pod.name().to_owned());
    if !flags.containers {
        lead.extend(measured.iter().map(|r| shown(r, &total(pod, r))));
        return vec![lead];
    }
    let name = |c: &Value| c["name"].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<&Value> = containers(pod).collect();
    match flags.usage.sort_by.as_str() {
        "" => all.sort_by_key(|c| name(c)),
        by => all.sort_by_key(|c| sort_key(by, &quantity(&c["usage"], by))),
    }
    let row = |c: &Value| {
        let used = measured.iter().map(|r| shown(r, &quantity(&c["usage"], r)));
        lead.iter().cloned().chain([name(c)]).chain(used).collect()
    };
    all.into_iter().map(row).collect()
}

/// A line, and what all pods use together.
fn sum(pods: &[Value], measured: &[&str], lead: usize) -> Vec<Vec<String>> {
    let columns = lead + 1 + measured.len();
    let mut line = vec![String::new(); columns - 2];
    line.extend(["________".to_owned(), "________".to_owned()]);
    let mut totals = vec![String::new(); columns - 2];
    for resource in measured {
        let all = pods.iter().map(|pod| total(pod, resource)).fold(Quantity::ZERO, |sum, one| sum + one);
        totals.push(shown(resource, &all));
    }
    vec![line, totals]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flags(line: &str) -> Pod {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let args = crate::cli::parse(&words).expect("parses");
        let crate::cli::Command::Top(crate::cli::top::Top::Pod(flags)) = args.command else { panic!("top pod") };
        flags
    }

    #[test]
    fn pods_and_their_sum() {
        let pod = |name: &str, cpu: &str| {
            json!({"metadata": {"name": name, "namespace": "ns"}, "containers": [
            {"name": "c", "usage": {"cpu": cpu, "memory": "10Mi"}}, {"name": "b", "usage": {"cpu": "1m", "memory": "1Mi"}}]})
        };
        let pods = vec![pod("x", "5m"), pod("a", "2m")];
        let text = table(&flags("k top pod --sum"), pods.clone()).render(false);
        let want = "NAME   CPU(cores)   MEMORY(bytes)   \na      3m           11Mi            \nx      6m           11Mi            \n       ________     ________        \n       9m           22Mi            \n";
        assert_eq!(text, want);
        let text = table(&flags("k top pod --containers --sort-by=cpu -A"), pods).render(true);
        assert!(text.starts_with("ns    x     c     5m    10Mi"), "{text}");
    }
}
