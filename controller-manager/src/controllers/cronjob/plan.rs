//! Whether a cron job starts a job now, and when to look again.

mod children;
mod missed;
mod schedule;

pub(super) use children::{forget, missing, observe, surplus};

use crate::objects::owner;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use missed::{Missed, look_back};
use schedule::Schedule;

const SCHEDULED_AT: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";

/// An event about the cron job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) is_warning: bool,
    pub(super) reason: &'static str,
    pub(super) text: String,
}

impl Note {
    pub(super) fn normal(reason: &'static str, text: impl Into<String>) -> Self {
        Self { is_warning: false, reason, text: text.into() }
    }

    pub(super) fn warning(reason: &'static str, text: impl Into<String>) -> Self {
        Self { is_warning: true, reason, text: text.into() }
    }
}

/// What happens now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing, until the cron job changes.
    Idle,
    /// Nothing before this time is over.
    Wait(SignedDuration),
    /// A job for this time; the jobs before it go first, if `replace`.
    Start { at: Timestamp, replace: bool, next: Option<SignedDuration> },
}

/// The step, and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) step: Step,
    pub(super) notes: Vec<Note>,
}

impl Plan {
    fn idle(note: Option<Note>) -> Self {
        Self { step: Step::Idle, notes: note.into_iter().collect() }
    }
}

/// Decides; `status` is the current one.
pub(super) fn plan(cron_job: &CronJob, status: &CronJobStatus, now: Timestamp) -> Plan {
    let spec = cron_job.spec.clone();
    if cron_job.metadata.deletion_timestamp.is_some() {
        return Plan::idle(None);
    }
    if let Some(zone) = spec.time_zone.as_deref().filter(|zone| zone_of(Some(zone)).is_none()) {
        let text = format!("invalid timeZone: {zone:?}: unknown time zone {zone}");
        return Plan::idle(Some(Note::warning("UnknownTimeZone", text)));
    }
    if spec.suspend == Some(true) {
        return Plan::idle(None);
    }
    let schedule = match schedule_of(&spec) {
        Ok(schedule) => schedule,
        Err(error) => {
            let text = format!("unparseable schedule: {:?} : {error}", spec.schedule);
            return Plan::idle(Some(Note::warning("UnparseableSchedule", text)));
        }
    };
    let past = match look_back(cron_job, &schedule, now, spec.starting_deadline_seconds) {
        Ok(past) => past,
        Err(error) => {
            let text = format!("invalid schedule: {} : {error}", spec.schedule);
            return Plan::idle(Some(Note::warning("InvalidSchedule", text)));
        }
    };
    let mut notes: Vec<_> = unsupported(&spec).into_iter().collect();
    let next = missed::next_in(cron_job, &schedule, now);
    let wait = |notes: Vec<Note>| Plan { step: next.map_or(Step::Idle, Step::Wait), notes };
    let Some(at) = past.due else { return wait(notes) };
    if past.missed == Missed::Many {
        let text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        notes.push(Note::warning("TooManyMissedTimes", text));
    }
    match refusal(cron_job, &spec, status, at, now) {
        Some(Refusal::Silent) => wait(notes),
        Some(Refusal::Said(note)) => {
            notes.push(note);
            wait(notes)
        }
        None => {
            let replace = spec.concurrency_policy.as_deref() == Some("Replace");
            Plan { step: Step::Start { at, replace, next }, notes }
        }
    }
}

enum Refusal {
    Silent,
    Said(Note),
}

/// Why the job of this time is not started.
fn refusal(
    cron_job: &CronJob,
    spec: &CronJobSpec,
    status: &CronJobStatus,
    at: Timestamp,
    now: Timestamp,
) -> Option<Refusal> {
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    if deadline.is_some_and(|deadline| now.duration_since(at) > deadline) {
        let when = at.strftime("%a, %d %b %Y %H:%M:%S UTC");
        let text = format!("Missed scheduled time to start a job: {when}");
        return Some(Refusal::Said(Note::warning("MissSchedule", text)));
    }
    let name = job_name(cron_job, at);
    let mut active = status.active.iter().flatten();
    if active.any(|job| job.name.as_ref() == Some(&name))
        || status.last_schedule_time.as_ref().is_some_and(|t| t.0 == at)
    {
        return Some(Refusal::Silent);
    }
    let is_busy = status.active.as_ref().is_some_and(|active| !active.is_empty());
    (is_busy && spec.concurrency_policy.as_deref() == Some("Forbid")).then(|| {
        let text = "Not starting job because prior execution is running and concurrency policy is Forbid";
        Refusal::Said(Note::normal("JobAlreadyActive", text))
    })
}

/// The clock of this name; the process's own without one.
fn zone_of(name: Option<&str>) -> Option<TimeZone> {
    match name {
        None => Some(TimeZone::system()),
        Some("") => Some(TimeZone::UTC),
        Some(name) => TimeZone::get(name).ok(),
    }
}

fn schedule_of(spec: &CronJobSpec) -> Result<Schedule, schedule::ScheduleError> {
    let zone = zone_of(spec.time_zone.as_deref()).unwrap_or_else(TimeZone::system);
    Schedule::parse(&spec.schedule, zone)
}

fn unsupported(spec: &CronJobSpec) -> Option<Note> {
    spec.schedule.contains("TZ").then(|| {
        let text = format!(
            "CRON_TZ or TZ used in schedule {:?} is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details",
            spec.schedule
        );
        Note::warning("UnsupportedSchedule", text)
    })
}

/// How long after a new schedule the cron job has to be looked at; `None` if it is no schedule.
pub(super) fn next_in(cron_job: &CronJob, now: Timestamp) -> Option<SignedDuration> {
    let schedule = schedule_of(&cron_job.spec).ok()?;
    missed::next_in(cron_job, &schedule, now)
}

/// One name for one minute: no time is started twice.
fn job_name(cron_job: &CronJob, at: Timestamp) -> String {
    format!("{}-{}", cron_job.metadata.name.as_deref().unwrap_or_default(), at.as_second().div_euclid(60))
}

/// The job of this time.
pub(super) fn job(cron_job: &CronJob, at: Timestamp) -> Job {
    let spec = cron_job.spec.clone();
    let zone = spec.time_zone.as_deref().and_then(|name| zone_of(Some(name))).unwrap_or(TimeZone::UTC);
    let template = spec.job_template;
    let meta = template.metadata.unwrap_or_default();
    let mut annotations = meta.annotations.unwrap_or_default();
    annotations.insert(SCHEDULED_AT.to_owned(), rfc3339(at, zone));
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(cron_job, at)),
            namespace: cron_job.metadata.namespace.clone(),
            labels: meta.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![owner::controller_ref(cron_job)]),
            ..ObjectMeta::default()
        },
        spec: template.spec,
        status: None,
    }
}

/// As Go writes it: no offset is `Z`.
fn rfc3339(at: Timestamp, zone: TimeZone) -> String {
    let at = at.to_zoned(zone);
    match at.offset().seconds() {
        0 => at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        _ => at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
    }
}

#[cfg(test)]
mod tests;
