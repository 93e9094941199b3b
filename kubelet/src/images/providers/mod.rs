//! Programs that know credentials for images: which is asked for what, and how long its answer holds.
//!
//! Upstream: `pkg/credentialprovider/plugin`.

pub mod config;
pub mod exec;
pub mod metrics;

use crate::cluster::{Cluster, ClusterError, TokenWish};
use crate::images::access::Source;
use crate::images::access::records::Object;
use crate::images::registry::{self, Keyring};
use crate::pod::PodExt;
use crate::runtime::images::RegistryAuth;
use crate::volumes::tokens::Tokens;
use config::{Provider, ProviderConfigError, TokenAttributes};
use exec::{Answer, ExecError, Program, Request, Scope};
use k8s_openapi::api::core::v1::Pod;
use metrics::{Metrics, Plugin as PluginLabel};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use rustix::fs::{Access, access};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// How long a token holds if nobody says otherwise.
const TOKEN_SECONDS: i64 = 3600;

/// Why there are no programs to ask.
#[derive(Debug, thiserror::Error)]
pub enum ProvidersError {
    #[error(transparent)]
    Config(#[from] ProviderConfigError),
    #[error("plugin binary directory {0} did not exist")]
    NoFolder(String),
    #[error("plugin binary executable {0} did not exist")]
    NoProgram(String),
}

/// Why one has no credentials.
#[derive(Debug, thiserror::Error)]
enum LookupError {
    #[error("failed to get service account: {0}")]
    Account(ClusterError),
    #[error("failed to get service account token: {0}")]
    Token(ClusterError),
    #[error("failed to get credential from external registry credential provider: {0}")]
    Exec(#[from] ExecError),
    #[error(
        "credential provider plugin returned the service account token as the password which is not allowed when service \
         account cache type is not set to 'Token'"
    )]
    Echo,
}

/// All of them, in the order of the configuration. Cheap to clone.
#[derive(Clone, Default)]
pub struct Providers {
    all: Arc<Vec<Plugin>>,
    metrics: Metrics,
}

/// Whose credentials these are: an account by its UID, annotations and, if it counts, its token. Empty for the node's.
type Owner = String;

struct Plugin {
    program: Program,
    cluster: Arc<dyn Cluster>,
    tokens: Tokens,
    metrics: Metrics,
    kept: Mutex<HashMap<(String, Owner), Kept>>,
    /// Questions that are being asked: who has the same one waits for the same answer.
    asked: Mutex<HashMap<Question, Shared>>,
}

/// The image, the token's digest, the annotations.
type Question = (String, String, BTreeMap<String, String>);
type Shared = Arc<OnceCell<Result<Answer, ExecError>>>;

struct Kept {
    auths: Vec<RegistryAuth>,
    until: Instant,
}

/// What a program is told of the pod.
#[derive(Default)]
struct Account {
    owner: Owner,
    token: String,
    annotations: BTreeMap<String, String>,
    /// The account itself.
    object: Option<Object>,
}

impl Providers {
    /// What the files say, with the programs in a folder.
    ///
    /// # Errors
    /// In upstream's words; the kubelet does not start then.
    pub fn load(config: &Path, folder: &Path, cluster: Arc<dyn Cluster>) -> Result<Self, ProvidersError> {
        if !folder.exists() {
            return Err(ProvidersError::NoFolder(folder.display().to_string()));
        }
        let (providers, hash) = config::load(config)?;
        let metrics = Metrics::default();
        metrics.config.get_or_create(&metrics::Digest { hash }).set(1);
        let mut all = Vec::new();
        for provider in providers {
            let file = folder.join(&provider.name);
            if !file.is_file() || access(&file, Access::EXEC_OK).is_err() {
                return Err(ProvidersError::NoProgram(file.display().to_string()));
            }
            all.push(Plugin {
                program: Program { folder: folder.to_owned(), provider },
                tokens: Tokens::new(cluster.clone()),
                cluster: cluster.clone(),
                metrics: metrics.clone(),
                kept: Mutex::default(),
                asked: Mutex::default(),
            });
        }
        Ok(Self { all: Arc::new(all), metrics })
    }

    /// Serves what is counted, if there is anybody to ask.
    pub fn register(&self, registry: &mut Registry) {
        if !self.all.is_empty() {
            self.metrics.register(registry);
        }
    }

    /// The credentials for a repository. A program that fails has none.
    pub async fn lookup(&self, pod: &Pod, repository: &str) -> Vec<RegistryAuth> {
        let mut all = Vec::new();
        for plugin in self.all.iter() {
            match plugin.credentials(pod, repository).await {
                Ok(auths) => all.extend(auths),
                Err(error) => {
                    let provider = plugin.provider().name.as_str();
                    let pod = pod.formatted();
                    tracing::error!(%error, provider, image = repository, pod, "Failed to provide credentials for image");
                }
            }
        }
        Keyring::of(all).lookup(repository)
    }

    /// Forgets the tokens of a pod.
    pub fn forget(&self, pod_uid: &str) {
        self.all.iter().for_each(|plugin| plugin.tokens.forget(pod_uid));
    }
}

impl Plugin {
    fn provider(&self) -> &Provider {
        &self.program.provider
    }

    async fn credentials(&self, pod: &Pod, image: &str) -> Result<Vec<RegistryAuth>, LookupError> {
        if !self.provider().match_images.iter().any(|pattern| registry::matches(pattern, image)) {
            return Ok(Vec::new());
        }
        let account = match &self.provider().token_attributes {
            None => Account::default(),
            Some(attributes) => match self.account(attributes, pod).await? {
                Some(account) => account,
                None => return Ok(Vec::new()),
            },
        };
        if let Some(auths) = self.kept(image, &account.owner) {
            return Ok(auths);
        }
        let answer = self.ask(image, &account).await?;
        let is_kept_by_token = self.provider().token_attributes.as_ref().is_some_and(|a| a.cache_type == "Token");
        let mut pairs = answer.auth.iter().flatten();
        if !account.token.is_empty() && !is_kept_by_token && pairs.any(|(_, pair)| pair.password == account.token) {
            return Err(LookupError::Echo);
        }
        let place = match answer.scope()? {
            Scope::Image => image.to_owned(),
            Scope::Registry => registry_of(image).to_owned(),
            Scope::Global => String::new(),
        };
        let source = account.object.clone().map_or(Source::Node, Source::Account);
        let auths: Vec<RegistryAuth> =
            auths(&answer).into_iter().map(|auth| RegistryAuth { source: source.clone(), ..auth }).collect();
        let lifetime = answer.cache_duration.or(self.provider().default_cache_duration).unwrap_or_default().0;
        if let Some(until) = Instant::now().checked_add(lifetime).filter(|_| !lifetime.is_zero()) {
            self.kept.lock().insert((place, account.owner), Kept { auths: auths.clone(), until });
        }
        Ok(auths)
    }

    /// What is known still, for the image, its registry or everything.
    fn kept(&self, image: &str, owner: &str) -> Option<Vec<RegistryAuth>> {
        let mut kept = self.kept.lock();
        let now = Instant::now();
        kept.retain(|_, kept| kept.until > now);
        [image, registry_of(image), ""]
            .iter()
            .find_map(|place| Some(kept.get(&((*place).to_owned(), owner.to_owned()))?.auths.clone()))
    }

    /// The pod's account with a token; `None` if the program is not to be asked for this pod.
    async fn account(&self, attributes: &TokenAttributes, pod: &Pod) -> Result<Option<Account>, LookupError> {
        let name = PodExt::spec(pod).service_account_name.as_deref().unwrap_or_default();
        if name.is_empty() {
            let is_required = attributes.require_service_account.unwrap_or(true);
            return Ok((!is_required).then(Account::default));
        }
        let found = self.cluster.service_account(pod.namespace(), name).await.map_err(LookupError::Account)?;
        let uid = found.metadata.uid.unwrap_or_default();
        let Some(annotations) = annotations(attributes, &found.metadata.annotations.unwrap_or_default()) else {
            return Ok(None);
        };
        let wish = TokenWish {
            namespace: pod.namespace().to_owned(),
            service_account: name.to_owned(),
            audience: Some(attributes.service_account_token_audience.clone()),
            seconds: TOKEN_SECONDS,
            pod_name: pod.name().to_owned(),
            pod_uid: pod.uid().to_owned(),
            service_account_uid: Some(uid.clone()),
        };
        let token = self.tokens.get(&wish).await.map_err(LookupError::Token)?;
        let counts = if attributes.cache_type == "Token" { digest(&token) } else { String::new() };
        let owner = format!("{:?}", (pod.namespace(), name, &uid, &annotations, counts));
        let object = Object { namespace: pod.namespace().to_owned(), name: name.to_owned(), uid };
        Ok(Some(Account { owner, token, annotations, object: Some(object) }))
    }

    /// Runs the program, once for all who have the same question at the same time.
    async fn ask(&self, image: &str, account: &Account) -> Result<Answer, ExecError> {
        let question = (image.to_owned(), digest(&account.token), account.annotations.clone());
        let shared = self.asked.lock().entry(question.clone()).or_default().clone();
        let answer = shared.get_or_init(|| self.run(image, account)).await.clone();
        let mut asked = self.asked.lock();
        if asked.get(&question).is_some_and(|other| Arc::ptr_eq(other, &shared)) {
            asked.remove(&question);
        }
        answer
    }

    async fn run(&self, image: &str, account: &Account) -> Result<Answer, ExecError> {
        let label = PluginLabel { plugin_name: self.provider().name.clone() };
        let begun = Instant::now();
        let answer = self.program.ask(Request {
            image: image.to_owned(),
            service_account_token: account.token.clone(),
            service_account_annotations: account.annotations.clone(),
            ..Request::default()
        });
        let answer = answer.await;
        self.metrics.durations.get_or_create(&label).observe(seconds(begun.elapsed()));
        if matches!(answer, Err(ExecError::Run { .. })) {
            self.metrics.errors.get_or_create(&label).inc();
        }
        answer
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

fn registry_of(image: &str) -> &str {
    image.split('/').next().unwrap_or_default()
}

fn digest(token: &str) -> String {
    if token.is_empty() { String::new() } else { format!("sha256:{}", config::hex(&Sha256::digest(token))) }
}

fn auths(answer: &Answer) -> Vec<RegistryAuth> {
    let pairs = answer.auth.iter().flatten();
    let auth = |(server, pair): (&String, &exec::Pair)| RegistryAuth {
        username: pair.username.clone(),
        password: pair.password.clone(),
        server: server.clone(),
        ..RegistryAuth::default()
    };
    pairs.map(auth).collect()
}

/// The annotations that the program is told; `None` if one is missing without which it is not asked.
fn annotations(attributes: &TokenAttributes, found: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    let mut told = BTreeMap::new();
    for key in &attributes.required_service_account_annotation_keys {
        told.insert(key.clone(), found.get(key)?.clone());
    }
    let optional = attributes.optional_service_account_annotation_keys.iter();
    told.extend(optional.filter_map(|key| Some((key.clone(), found.get(key)?.clone()))));
    Some(told)
}
