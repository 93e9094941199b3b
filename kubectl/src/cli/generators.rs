//! `create KIND`: the generators' flags.

use super::writing::{DryRunFlag, Printing, ValidateFlag};
use clap::{Args as ClapArgs, Subcommand};

/// What `create` makes without a manifest.
#[derive(Debug, Subcommand)]
pub enum Generator {
    /// Create a cluster role.
    #[command(name = "clusterrole")]
    ClusterRole(ClusterRole),
    /// Create a cluster role binding for a particular cluster role.
    #[command(name = "clusterrolebinding")]
    ClusterRoleBinding(RoleBinding),
    /// Create a config map from a local file, directory or literal value.
    #[command(name = "configmap", alias = "cm")]
    ConfigMap(ConfigMap),
    /// Create a cron job with the specified name.
    #[command(name = "cronjob", alias = "cj")]
    CronJob(CronJob),
    /// Create a deployment with the specified name.
    #[command(alias = "deploy")]
    Deployment(Deployment),
    /// Create an ingress with the specified name.
    #[command(alias = "ing")]
    Ingress(Ingress),
    /// Create a job with the specified name.
    Job(Job),
    /// Create a namespace with the specified name.
    #[command(alias = "ns")]
    Namespace(Namespace),
    /// Create a pod disruption budget with the specified name.
    #[command(name = "poddisruptionbudget", alias = "pdb")]
    PodDisruptionBudget(PodDisruptionBudget),
    /// Create a priority class with the specified name.
    #[command(name = "priorityclass", alias = "pc")]
    PriorityClass(PriorityClass),
    /// Create a quota with the specified name.
    #[command(alias = "resourcequota")]
    Quota(Quota),
    /// Create a role with single rule.
    Role(Role),
    /// Create a role binding for a particular role or cluster role.
    #[command(name = "rolebinding")]
    RoleBinding(RoleBinding),
    /// Create a secret using a specified subcommand.
    #[command(subcommand)]
    Secret(Secret),
    /// Create a service using a specified subcommand.
    #[command(subcommand, alias = "svc")]
    Service(Service),
    /// Create a service account with the specified name.
    #[command(name = "serviceaccount", alias = "sa")]
    ServiceAccount(Namespace),
    /// Request a service account token.
    Token(Token),
}

/// Kinds of secrets.
#[derive(Debug, Subcommand)]
pub enum Secret {
    /// Create a secret for use with a Docker registry.
    DockerRegistry(DockerRegistry),
    /// Create a secret from a local file, directory, or literal value.
    Generic(GenericSecret),
    /// Create a TLS secret.
    Tls(TlsSecret),
}

/// Kinds of services.
#[derive(Debug, Subcommand)]
pub enum Service {
    /// Create a ClusterIP service.
    #[command(name = "clusterip")]
    ClusterIp(ClusterIp),
    /// Create an ExternalName service.
    #[command(name = "externalname")]
    ExternalName(ExternalName),
    /// Create a LoadBalancer service.
    #[command(name = "loadbalancer")]
    LoadBalancer(LoadBalancer),
    /// Create a NodePort service.
    #[command(name = "nodeport")]
    NodePort(NodePort),
}

/// Flags of all generators.
#[derive(Clone, Debug, ClapArgs)]
pub struct Creation {
    /// The name, exactly one.
    pub names: Vec<String>,
    #[command(flatten)]
    /// Whether to write.
    pub dry_run: DryRunFlag,
    #[command(flatten)]
    /// How strictly.
    pub validate: ValidateFlag,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    /// Name of the manager used to track field ownership.
    #[arg(long, default_value = "kubectl-create")]
    pub field_manager: String,
    /// If true, the configuration of current object will be saved in its annotation.
    #[arg(long)]
    pub save_config: bool,
}

/// Where data comes from.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct Sources {
    /// Key files can be specified using their file path, or with a key and file path.
    #[arg(long, value_delimiter = ',')]
    pub from_file: Vec<String>,
    /// Specify a key and literal value to insert (i.e. mykey=somevalue).
    #[arg(long)]
    pub from_literal: Vec<String>,
    /// Specify the path to a file to read lines of key=val pairs.
    #[arg(long, value_delimiter = ',')]
    pub from_env_file: Vec<String>,
}

/// `create clusterrole`.
#[derive(Debug, ClapArgs)]
pub struct ClusterRole {
    #[command(flatten)]
    /// As a role.
    pub role: Role,
    /// An aggregation label selector for combining ClusterRoles.
    #[arg(long, value_delimiter = ',', value_parser = pair)]
    pub aggregation_rule: Vec<String>,
    /// A partial url that user should have access to.
    #[arg(long, value_delimiter = ',')]
    pub non_resource_url: Vec<String>,
}

/// `create role`.
#[derive(Debug, ClapArgs)]
pub struct Role {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Verb that applies to the resources contained in the rule.
    #[arg(long, value_delimiter = ',')]
    pub verb: Vec<String>,
    /// Resource that the rule applies to.
    #[arg(long, value_delimiter = ',')]
    pub resource: Vec<String>,
    /// Resource in the white list that the rule applies to.
    #[arg(long)]
    pub resource_name: Vec<String>,
}

/// `create rolebinding`, `create clusterrolebinding`.
#[derive(Debug, ClapArgs)]
pub struct RoleBinding {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// ClusterRole this binding should reference.
    #[arg(long, default_value = "")]
    pub clusterrole: String,
    /// Role this RoleBinding should reference.
    #[arg(long, default_value = "")]
    pub role: String,
    /// Usernames to bind to the role; takes the place of the global flag, as upstream's does.
    #[arg(long)]
    pub user: Vec<String>,
    /// Groups to bind to the role.
    #[arg(long = "group")]
    pub groups: Vec<String>,
    /// Service accounts to bind to the role, in the format <namespace>:<name>.
    #[arg(long = "serviceaccount")]
    pub service_accounts: Vec<String>,
}

/// `create configmap`.
#[derive(Debug, ClapArgs)]
pub struct ConfigMap {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    #[command(flatten)]
    /// Where the data comes from.
    pub sources: Sources,
    /// Append a hash of the configmap to its name.
    #[arg(long)]
    pub append_hash: bool,
}

/// `create cronjob`.
#[derive(Debug, ClapArgs)]
pub struct CronJob {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Image name to run.
    #[arg(long, default_value = "")]
    pub image: String,
    /// A schedule in the Cron format the job should be run with.
    #[arg(long, default_value = "")]
    pub schedule: String,
    /// Job's restart policy. supported values: OnFailure, Never.
    #[arg(long, default_value = "")]
    pub restart: String,
    /// The command and its arguments.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `create deployment`.
#[derive(Debug, ClapArgs)]
pub struct Deployment {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Image names to run.
    #[arg(long, value_delimiter = ',')]
    pub image: Vec<String>,
    /// The containerPort that this deployment exposes.
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub port: i32,
    /// Number of replicas to create.
    #[arg(long, short = 'r', default_value_t = 1, allow_negative_numbers = true)]
    pub replicas: i32,
    /// The command and its arguments.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `create ingress`.
#[derive(Debug, ClapArgs)]
pub struct Ingress {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Annotation to insert in the ingress object, in the format annotation=value.
    #[arg(long = "annotation")]
    pub annotations: Vec<String>,
    /// Ingress Class to be used.
    #[arg(long, default_value = "")]
    pub class: String,
    /// Default service for backend, in format of svcname:port.
    #[arg(long, default_value = "")]
    pub default_backend: String,
    /// Rule in format host/path=service:port[,tls=secretname].
    #[arg(long = "rule")]
    pub rules: Vec<String>,
}

/// `create job`.
#[derive(Debug, ClapArgs)]
pub struct Job {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Image name to run.
    #[arg(long, default_value = "")]
    pub image: String,
    /// The name of the resource to create a Job from (only cronjob is supported).
    #[arg(long, default_value = "")]
    pub from: String,
    /// The command and its arguments.
    #[arg(last = true)]
    pub command: Vec<String>,
}

/// `create namespace`, `create serviceaccount`: nothing but a name.
#[derive(Debug, ClapArgs)]
pub struct Namespace {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
}

/// `create poddisruptionbudget`.
#[derive(Debug, ClapArgs)]
pub struct PodDisruptionBudget {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// The minimum number or percentage of available pods this budget requires.
    #[arg(long, default_value = "")]
    pub min_available: String,
    /// The maximum number or percentage of unavailable pods this budget requires.
    #[arg(long, default_value = "")]
    pub max_unavailable: String,
    /// A label selector to use for this budget.
    #[arg(long, default_value = "")]
    pub selector: String,
}

/// `create priorityclass`.
#[derive(Debug, ClapArgs)]
pub struct PriorityClass {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// The value of this priority class.
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub value: i32,
    /// Whether this PriorityClass should be considered as the default priority.
    #[arg(long)]
    pub global_default: bool,
    /// When this priority class should be used.
    #[arg(long, default_value = "")]
    pub description: String,
    /// The policy for preempting pods with lower priority.
    #[arg(long, default_value = "PreemptLowerPriority")]
    pub preemption_policy: String,
}

/// `create quota`.
#[derive(Debug, ClapArgs)]
pub struct Quota {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// A comma-delimited set of resource=quantity pairs that define a hard limit.
    #[arg(long, default_value = "")]
    pub hard: String,
    /// A comma-delimited set of quota scopes that must all match each object tracked by the quota.
    #[arg(long, default_value = "")]
    pub scopes: String,
}

/// `create secret docker-registry`.
#[derive(Debug, ClapArgs)]
pub struct DockerRegistry {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Append a hash of the secret to its name.
    #[arg(long)]
    pub append_hash: bool,
    /// Email for Docker registry.
    #[arg(long, default_value = "")]
    pub docker_email: String,
    /// Password for Docker registry authentication.
    #[arg(long, default_value = "")]
    pub docker_password: String,
    /// Server location for Docker registry.
    #[arg(long, default_value = "https://index.docker.io/v1/")]
    pub docker_server: String,
    /// Username for Docker registry authentication.
    #[arg(long, default_value = "")]
    pub docker_username: String,
    /// A file with the configuration.
    #[arg(long, value_delimiter = ',')]
    pub from_file: Vec<String>,
}

/// `create secret generic`.
#[derive(Debug, ClapArgs)]
pub struct GenericSecret {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    #[command(flatten)]
    /// Where the data comes from.
    pub sources: Sources,
    /// The type of secret to create.
    #[arg(long = "type", default_value = "")]
    pub kind: String,
    /// Append a hash of the secret to its name.
    #[arg(long)]
    pub append_hash: bool,
}

/// `create secret tls`.
#[derive(Debug, ClapArgs)]
pub struct TlsSecret {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Append a hash of the secret to its name.
    #[arg(long)]
    pub append_hash: bool,
    /// Path to PEM encoded public key certificate.
    #[arg(long, default_value = "")]
    pub cert: String,
    /// Path to private key associated with given certificate.
    #[arg(long, default_value = "")]
    pub key: String,
}

/// `create service clusterip`.
#[derive(Debug, ClapArgs)]
pub struct ClusterIp {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Port pairs can be specified as '<port>:<targetPort>'.
    #[arg(long, value_delimiter = ',')]
    pub tcp: Vec<String>,
    /// Assign your own ClusterIP or set to 'None' for a 'headless' service.
    #[arg(long, default_value = "")]
    pub clusterip: String,
}

/// `create service externalname`.
#[derive(Debug, ClapArgs)]
pub struct ExternalName {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Port pairs can be specified as '<port>:<targetPort>'.
    #[arg(long, value_delimiter = ',')]
    pub tcp: Vec<String>,
    /// External name of service.
    #[arg(long, default_value = "")]
    pub external_name: String,
}

/// `create service loadbalancer`.
#[derive(Debug, ClapArgs)]
pub struct LoadBalancer {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Port pairs can be specified as '<port>:<targetPort>'.
    #[arg(long, value_delimiter = ',')]
    pub tcp: Vec<String>,
}

/// `create service nodeport`.
#[derive(Debug, ClapArgs)]
pub struct NodePort {
    #[command(flatten)]
    /// Flags of all generators.
    pub creation: Creation,
    /// Port pairs can be specified as '<port>:<targetPort>'.
    #[arg(long, value_delimiter = ',')]
    pub tcp: Vec<String>,
    /// Port used to expose the service on each node in a cluster.
    #[arg(long, default_value_t = 0)]
    pub node_port: i32,
}

/// `create token`.
#[derive(Debug, ClapArgs)]
pub struct Token {
    /// The service account.
    pub names: Vec<String>,
    #[command(flatten)]
    /// How the result is printed.
    pub printing: Printing,
    /// Audience of the requested token.
    #[arg(long)]
    pub audience: Vec<String>,
    /// Requested lifetime of the issued token.
    #[arg(long, default_value = "0s")]
    pub duration: String,
    /// Kind of an object to bind the token to: Node, Pod, Secret.
    #[arg(long, default_value = "")]
    pub bound_object_kind: String,
    /// Name of an object to bind the token to.
    #[arg(long, default_value = "")]
    pub bound_object_name: String,
    /// UID of an object to bind the token to.
    #[arg(long, default_value = "")]
    pub bound_object_uid: String,
}

/// `KEY=VALUE`, as it is.
fn pair(text: &str) -> Result<String, String> {
    match text.contains('=') {
        true => Ok(text.to_owned()),
        false => Err("malformed pair, expect string=string".to_owned()),
    }
}
