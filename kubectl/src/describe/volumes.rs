//! The volumes of pods and the sources of persistent volumes: a table of kinds with what is shown of each.

use super::containers::quantity;
use super::sections::{Sections, equations, shortened, shown};
use super::volume_claims;
use apimachinery::Value;
use rules::tree::Tree;

/// A kind of volume.
struct Kind {
    /// The member that has the source.
    member: &'static str,
    /// What it is, in words.
    is: &'static str,
    fields: &'static [(&'static str, Shown)],
}

/// How a member is shown.
enum Shown {
    Text(&'static str),
    /// What stands for a text that is absent.
    Or(&'static str, &'static str),
    Flag(&'static str),
    Number(&'static str),
    NumberOr(&'static str, &'static str),
    /// Texts behind commas.
    List(&'static str),
    /// As Go prints lists and maps.
    Any(&'static str),
    /// A reference to a secret, as Go prints it.
    Secret,
    /// A size, if it is above zero.
    Size(&'static str),
    /// A member of the reference to a secret.
    OfSecret(&'static str),
}

use Shown::{Any, Flag, List, Number, NumberOr, OfSecret, Or, Secret, Size, Text};

/// Of pods, and of persistent volumes where [`PERSISTENT`] says nothing else.
const KINDS: &[Kind] = &[
    Kind {
        member: "hostPath",
        is: "HostPath (bare host directory volume)",
        fields: &[("Path:", Text("path")), ("HostPathType:", Or("type", "<none>"))],
    },
    Kind {
        member: "emptyDir",
        is: "EmptyDir (a temporary directory that shares a pod's lifetime)",
        fields: &[("Medium:", Text("medium")), ("SizeLimit:", Size("sizeLimit"))],
    },
    Kind {
        member: "gcePersistentDisk",
        is: "GCEPersistentDisk (a Persistent Disk resource in Google Compute Engine)",
        fields: &[
            ("PDName:", Text("pdName")),
            ("FSType:", Text("fsType")),
            ("Partition:", Number("partition")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "awsElasticBlockStore",
        is: "AWSElasticBlockStore (a Persistent Disk resource in AWS)",
        fields: &[
            ("VolumeID:", Text("volumeID")),
            ("FSType:", Text("fsType")),
            ("Partition:", Number("partition")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "gitRepo",
        is: "GitRepo (a volume that is pulled from git when the pod is created)",
        fields: &[("Repository:", Text("repository")), ("Revision:", Text("revision"))],
    },
    Kind {
        member: "secret",
        is: "Secret (a volume populated by a Secret)",
        fields: &[("SecretName:", Text("secretName")), ("Optional:", Flag("optional"))],
    },
    Kind {
        member: "configMap",
        is: "ConfigMap (a volume populated by a ConfigMap)",
        fields: &[("Name:", Text("name")), ("Optional:", Flag("optional"))],
    },
    Kind {
        member: "nfs",
        is: "NFS (an NFS mount that lasts the lifetime of a pod)",
        fields: &[("Server:", Text("server")), ("Path:", Text("path")), ("ReadOnly:", Flag("readOnly"))],
    },
    Kind {
        member: "iscsi",
        is: "ISCSI (an ISCSI Disk resource that is attached to a kubelet's host machine and then exposed to the pod)",
        fields: &[
            ("TargetPortal:", Text("targetPortal")),
            ("IQN:", Text("iqn")),
            ("Lun:", Number("lun")),
            // Upstream forgot the colon.
            ("ISCSIInterface", Text("iscsiInterface")),
            ("FSType:", Text("fsType")),
            ("ReadOnly:", Flag("readOnly")),
            ("Portals:", Any("portals")),
            ("DiscoveryCHAPAuth:", Flag("chapAuthDiscovery")),
            ("SessionCHAPAuth:", Flag("chapAuthSession")),
            ("SecretRef:", Secret),
            ("InitiatorName:", Or("initiatorName", "<none>")),
        ],
    },
    Kind {
        member: "glusterfs",
        is: "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
        fields: &[("EndpointsName:", Text("endpoints")), ("Path:", Text("path")), ("ReadOnly:", Flag("readOnly"))],
    },
    Kind {
        member: "persistentVolumeClaim",
        is: "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        fields: &[("ClaimName:", Text("claimName")), ("ReadOnly:", Flag("readOnly"))],
    },
    Kind {
        member: "ephemeral",
        is: "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
        fields: &[],
    },
    Kind {
        member: "rbd",
        is: "RBD (a Rados Block Device mount on the host that shares a pod's lifetime)",
        fields: &[
            ("CephMonitors:", Any("monitors")),
            ("RBDImage:", Text("image")),
            ("FSType:", Text("fsType")),
            ("RBDPool:", Text("pool")),
            ("RadosUser:", Text("user")),
            ("Keyring:", Text("keyring")),
            ("SecretRef:", Secret),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "quobyte",
        is: "Quobyte (a Quobyte mount on the host that shares a pod's lifetime)",
        fields: &[("Registry:", Text("registry")), ("Volume:", Text("volume")), ("ReadOnly:", Flag("readOnly"))],
    },
    Kind { member: "downwardAPI", is: "DownwardAPI (a volume populated by information about the pod)", fields: &[] },
    Kind {
        member: "azureDisk",
        is: "AzureDisk (an Azure Data Disk mount on the host and bind mount to the pod)",
        fields: &[
            ("DiskName:", Text("diskName")),
            ("DiskURI:", Text("diskURI")),
            ("Kind: ", Text("kind")),
            ("FSType:", Text("fsType")),
            ("CachingMode:", Text("cachingMode")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "vsphereVolume",
        is: "vSphereVolume (a Persistent Disk resource in vSphere)",
        fields: &[
            ("VolumePath:", Text("volumePath")),
            ("FSType:", Text("fsType")),
            ("StoragePolicyName:", Text("storagePolicyName")),
        ],
    },
    Kind {
        member: "cinder",
        is: "Cinder (a Persistent Disk resource in OpenStack)",
        fields: &[
            ("VolumeID:", Text("volumeID")),
            ("FSType:", Text("fsType")),
            ("ReadOnly:", Flag("readOnly")),
            ("SecretRef:", Secret),
        ],
    },
    Kind {
        member: "photonPersistentDisk",
        is: "PhotonPersistentDisk (a Persistent Disk resource in photon platform)",
        fields: &[("PdID:", Text("pdID")), ("FSType:", Text("fsType"))],
    },
    Kind {
        member: "portworxVolume",
        is: "PortworxVolume (a Portworx Volume resource)",
        fields: &[("VolumeID:", Text("volumeID"))],
    },
    Kind {
        member: "scaleIO",
        is: "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
        fields: &[
            ("Gateway:", Text("gateway")),
            ("System:", Text("system")),
            ("Protection Domain:", Text("protectionDomain")),
            ("Storage Pool:", Text("storagePool")),
            ("Storage Mode:", Text("storageMode")),
            ("VolumeName:", Text("volumeName")),
            ("FSType:", Text("fsType")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "cephfs",
        is: "CephFS (a CephFS mount on the host that shares a pod's lifetime)",
        fields: &[
            ("Monitors:", Any("monitors")),
            ("Path:", Text("path")),
            ("User:", Text("user")),
            ("SecretFile:", Text("secretFile")),
            ("SecretRef:", Secret),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "storageos",
        is: "StorageOS (a StorageOS Persistent Disk resource)",
        fields: &[
            ("VolumeName:", Text("volumeName")),
            ("VolumeNamespace:", Text("volumeNamespace")),
            ("FSType:", Text("fsType")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "fc",
        is: "FC (a Fibre Channel disk)",
        fields: &[
            ("TargetWWNs:", List("targetWWNs")),
            ("LUN:", NumberOr("lun", "<none>")),
            ("FSType:", Text("fsType")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "azureFile",
        is: "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        fields: &[
            ("SecretName:", Text("secretName")),
            ("ShareName:", Text("shareName")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "flexVolume",
        is: "FlexVolume (a generic volume resource that is provisioned/attached using an exec based plugin)",
        fields: &[
            ("Driver:", Text("driver")),
            ("FSType:", Text("fsType")),
            ("SecretRef:", Secret),
            ("ReadOnly:", Flag("readOnly")),
            ("Options:", Any("options")),
        ],
    },
    Kind {
        member: "flocker",
        is: "Flocker (a Flocker volume mounted by the Flocker agent)",
        fields: &[("DatasetName:", Text("datasetName")), ("DatasetUUID:", Text("datasetUUID"))],
    },
    Kind {
        member: "projected",
        is: "Projected (a volume that contains injected data from multiple sources)",
        fields: &[],
    },
    Kind {
        member: "csi",
        is: "CSI (a Container Storage Interface (CSI) volume source)",
        fields: &[("Driver:", Text("driver")), ("FSType:", Text("fsType")), ("ReadOnly:", Flag("readOnly"))],
    },
    Kind {
        member: "image",
        is: "Image (a container image or OCI artifact)",
        fields: &[("Reference:", Text("reference")), ("PullPolicy:", Text("pullPolicy"))],
    },
    Kind {
        member: "local",
        is: "LocalVolume (a persistent volume backed by local storage on a node)",
        fields: &[("Path:", Text("path"))],
    },
];

/// Persistent volumes whose source shows more than a pod's.
const PERSISTENT: &[Kind] = &[
    Kind {
        member: "glusterfs",
        is: "Glusterfs (a Glusterfs mount on the host that shares a pod's lifetime)",
        fields: &[
            ("EndpointsName:", Text("endpoints")),
            ("EndpointsNamespace:", Or("endpointsNamespace", "<unset>")),
            ("Path:", Text("path")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "scaleIO",
        is: "ScaleIO (a persistent volume backed by a block device in ScaleIO)",
        fields: &[
            ("Gateway:", Text("gateway")),
            ("System:", Text("system")),
            ("Protection Domain:", Text("protectionDomain")),
            ("Storage Pool:", Text("storagePool")),
            ("Storage Mode:", Text("storageMode")),
            ("VolumeName:", Text("volumeName")),
            ("SecretName:", OfSecret("name")),
            ("SecretNamespace:", OfSecret("namespace")),
            ("FSType:", Text("fsType")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "azureFile",
        is: "AzureFile (an Azure File Service mount on the host and bind mount to the pod)",
        fields: &[
            ("SecretName:", Text("secretName")),
            ("SecretNamespace:", Text("secretNamespace")),
            ("ShareName:", Text("shareName")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
    Kind {
        member: "csi",
        is: "CSI (a Container Storage Interface (CSI) volume source)",
        fields: &[
            ("Driver:", Text("driver")),
            ("FSType:", Text("fsType")),
            ("VolumeHandle:", Text("volumeHandle")),
            ("ReadOnly:", Flag("readOnly")),
        ],
    },
];

/// The volumes of a pod, or of a template, behind its indentation.
pub(super) fn write(out: &mut Sections, volumes: &[Value], indent: &str) {
    if volumes.is_empty() {
        out.field(0, &format!("{indent}Volumes"), "<none>");
        return;
    }
    out.line(0, format_args!("{indent}Volumes:"));
    let indent = if indent.is_empty() { "" } else { " " };
    for volume in volumes {
        out.line(1, format_args!("{indent}{}:", volume.text("name")));
        match KINDS.iter().find(|kind| volume.has(kind.member)) {
            None => out.line(1, "<unknown>"),
            Some(kind) => source(out, kind, &volume[kind.member], "LocalObjectReference"),
        }
    }
}

/// The source of a persistent volume.
pub(super) fn persistent(out: &mut Sections, spec: &Value) {
    match PERSISTENT.iter().chain(KINDS).find(|kind| spec.has(kind.member)) {
        None => out.line(1, "<unknown>"),
        Some(kind) => source(out, kind, &spec[kind.member], "SecretReference"),
    }
}

fn source(out: &mut Sections, kind: &Kind, source: &Value, reference: &str) {
    out.field(2, "Type", kind.is);
    for (title, field) in kind.fields {
        out.line(2, format_args!("{title}\t{}", field.text(source, reference)));
    }
    match kind.member {
        "csi" => attributes(out, source),
        "downwardAPI" => downward(out, source),
        "projected" => source.items("sources").iter().for_each(|part| projected(out, part)),
        "ephemeral" => {
            if let Some(template) = source.at("volumeClaimTemplate") {
                out.nested(2, |out| volume_claims::template(out, template));
            }
        }
        _ => {}
    }
}

impl Shown {
    fn text(&self, source: &Value, reference: &str) -> String {
        match self {
            Text(key) => source.text(key).to_owned(),
            Or(key, absent) => source.at(key).and_then(Value::as_str).unwrap_or(absent).to_owned(),
            Flag(key) => source.flag(key).to_string(),
            Number(key) => source.int(key).to_string(),
            NumberOr(key, absent) => source.at(key).map_or_else(|| (*absent).to_owned(), shown),
            List(key) => source.texts(key).collect::<Vec<_>>().join(", "),
            Any(key) => match source.at(key) {
                Some(value) => shown(value),
                None if *key == "options" => "map[]".into(),
                None => "[]".into(),
            },
            Secret => secret(source.at("secretRef"), reference),
            Size(key) => match quantity(source.at(key)) {
                size if size.is_zero() || size.is_negative() => "<unset>".into(),
                size => size.to_string(),
            },
            OfSecret(key) => source.at("secretRef").map(|s| s.text(key)).unwrap_or_default().to_owned(),
        }
    }
}

fn secret(secret: Option<&Value>, kind: &str) -> String {
    let Some(secret) = secret else { return "nil".into() };
    let namespace = match kind {
        "SecretReference" => format!("Namespace:{},", secret.text("namespace")),
        _ => String::new(),
    };
    format!("&{kind}{{Name:{},{namespace}}}", secret.text("name"))
}

fn attributes(out: &mut Sections, source: &Value) {
    out.write(2, "VolumeAttributes:\t");
    let mut attributes = equations(source.object("volumeAttributes")).peekable();
    if attributes.peek().is_none() {
        out.line(0, "<none>");
    }
    for (i, attribute) in attributes.enumerate() {
        if i > 0 {
            out.write(2, "");
            out.write(2, "\t");
        }
        out.line(2, shortened(&attribute, 140));
    }
}

fn downward(out: &mut Sections, source: &Value) {
    out.line(2, "Items:");
    for item in source.items("items") {
        let from = [("fieldRef", "fieldPath"), ("resourceFieldRef", "resource")];
        for (member, key) in from {
            if let Some(reference) = item.at(member) {
                out.line(3, format_args!("{} -> {}", reference.text(key), item.text("path")));
            }
        }
    }
}

fn projected(out: &mut Sections, part: &Value) {
    for (title, member) in [("SecretName", "secret"), ("DownwardAPI", "downwardAPI"), ("ConfigMapName", "configMap")] {
        let Some(source) = part.at(member) else { continue };
        if member == "downwardAPI" {
            out.field(2, title, true);
        } else {
            out.field(2, title, source.text("name"));
            out.field(2, "Optional", source.flag("optional"));
        }
        return;
    }
    if let Some(token) = part.at("serviceAccountToken") {
        out.field(2, "TokenExpirationSeconds", token.int("expirationSeconds"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    fn pod(volume: Value) -> String {
        let mut out = Sections::new(Timestamp::UNIX_EPOCH);
        write(&mut out, &[volume], "");
        out.aligned()
    }

    #[test]
    fn sources_of_pods() {
        let text = pod(json!({"name": "v", "rbd": {"monitors": ["a", "b"], "image": "i", "secretRef": {"name": "s"}}}));
        assert!(
            text.contains("    CephMonitors:  [a b]\n") && text.contains("&LocalObjectReference{Name:s,}"),
            "{text}"
        );
        let text =
            pod(json!({"name": "v", "projected": {"sources": [{"serviceAccountToken": {"expirationSeconds": 9}},
            {"configMap": {"name": "c"}}]}}));
        assert!(
            text.ends_with(
                "    TokenExpirationSeconds:  9\n    ConfigMapName:           c\n    Optional:                false\n"
            ),
            "{text}"
        );
        assert_eq!(pod(json!({"name": "v"})), "Volumes:\n  v:\n  <unknown>\n");
    }

    #[test]
    fn sources_of_persistent_volumes() {
        let mut out = Sections::new(Timestamp::UNIX_EPOCH);
        persistent(&mut out, &json!({"csi": {"driver": "d", "volumeHandle": "h", "volumeAttributes": {"a": "b"}}}));
        let text = out.aligned();
        assert!(
            text.contains("    VolumeHandle:      h\n") && text.ends_with("    VolumeAttributes:      a=b\n"),
            "{text}"
        );
    }
}
