//! Backups: a snapshot of the store, and the authorities and keys that everything else hangs on, in one
//! archive; and a cluster made of one again, on the same machine or on a new one.
//!
//! A restored store is in the past, which no process that remembers the future must see: all of them are
//! stopped before it is put in place, and list anew when `up` has started them. The data that it replaces
//! is kept beside it.

use crate::certificates::ROOTS;
use crate::command::run;
use crate::down::stop_supervisor;
use crate::layout::{Cluster, ETCD_PORT, Layout, Master};
use crate::plan::members;
use crate::progress::step;
use crate::up::{check_members, folders};
use anyhow::{Context, bail, ensure};
use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The snapshot's name in the archive.
const SNAPSHOT: &str = "snapshot.db";
/// The folder of the authorities in the archive.
const PKI: &str = "pki";

/// Saves the cluster of `layout` to `file`, which only its owner can read. The cluster goes on meanwhile.
pub fn save(layout: &Layout, file: &Path) -> anyhow::Result<()> {
    let cluster = former_cluster(layout)?;
    let work = Work::begin(layout)?;
    step("snapshot", || snapshot(&cluster, &work.file(SNAPSHOT)))?;
    step("authorities", || copy_roots(&layout.pki(""), &work.file(PKI)))?;
    step("archive", || pack(&work, file))?;
    let status = run("etcdctl", &["snapshot", "status", "--write-out=simple", &text(&work.file(SNAPSHOT))])?;
    // hash, revision, keys, size
    let fields: Vec<&str> = status.trim().split(", ").collect();
    let [_, revision, keys, _] = fields[..] else { bail!("the snapshot's state is unclear: {}", status.trim()) };
    println!("{}: {keys} keys at revision {revision}", file.display());
    Ok(())
}

/// Puts back what `file` holds: every process is stopped, every member gets the snapshot's data.
pub fn restore(layout: &Layout, masters: Option<u8>, file: &Path) -> anyhow::Result<()> {
    let cluster = Cluster::new(layout.clone(), masters, None);
    check_members(&cluster)?;
    folders(&cluster)?;
    let work = Work::begin(layout)?;
    step("archive", || unpack(file, &work))?;
    // Whatever is wrong with the snapshot shows before anything of the cluster is touched.
    step("data", || cluster.masters.iter().try_for_each(|master| make_data(&cluster, master, &work)))?;
    step("processes", || stop_supervisor(layout))?;
    step("authorities", || put_roots(&cluster, &work.file(PKI)))?;
    step("members", || cluster.masters.iter().try_for_each(|master| put_data(master, &work)))?;
    println!("The store is restored. Start the cluster with deploy/up and the flags it had.");
    Ok(())
}

/// The cluster that has data.
fn former_cluster(layout: &Layout) -> anyhow::Result<Cluster> {
    let former = Cluster::former_masters(layout);
    let hosts = u8::try_from(former.len()).unwrap_or(u8::MAX);
    let shapes = [None, Some(hosts)].map(|masters| Cluster::new(layout.clone(), masters, None));
    let is_it = |cluster: &Cluster| cluster.masters.iter().map(|master| &master.name).eq(&former);
    shapes.into_iter().find(is_it).with_context(|| format!("no cluster has data in {}", layout.root().display()))
}

/// A folder for what is on its way, which goes when the work is over.
struct Work(PathBuf);

impl Work {
    fn begin(layout: &Layout) -> anyhow::Result<Self> {
        let folder = layout.data("backup");
        // An interrupted run may have left one.
        fs::remove_dir_all(&folder).ok();
        let made = fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder);
        made.with_context(|| format!("making {}", folder.display()))?;
        Ok(Self(folder))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn data(&self, master: &Master) -> PathBuf {
        self.file(&format!("{}.data", master.name))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Takes the snapshot from the first member that gives one.
fn snapshot(cluster: &Cluster, file: &Path) -> anyhow::Result<()> {
    let mut refusals = Vec::new();
    for master in &cluster.masters {
        match snapshot_of(cluster, master, file) {
            Ok(()) => return Ok(()),
            Err(error) => refusals.push(format!("{}: {error:#}", master.name)),
        }
    }
    bail!("no member gives a snapshot: {}", refusals.join("; "))
}

fn snapshot_of(cluster: &Cluster, master: &Master, file: &Path) -> anyhow::Result<()> {
    let pki = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
    let arguments = [
        format!("--endpoints={}", master.etcd(ETCD_PORT)),
        pki("cacert", cluster.layout.pki("etcd-ca.crt")),
        pki("cert", master.layout.pki("apiserver-etcd-client.crt")),
        pki("key", master.layout.pki("apiserver-etcd-client.key")),
        "--dial-timeout=3s".to_owned(),
        "snapshot".to_owned(),
        "save".to_owned(),
        text(file),
    ];
    run("etcdctl", &arguments.each_ref().map(String::as_str)).map(drop)
}

fn copy_roots(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for name in ROOTS {
        fs::copy(from.join(name), to.join(name)).with_context(|| format!("copying {name}"))?;
    }
    Ok(())
}

/// The archive is there as a whole or not at all.
fn pack(work: &Work, file: &Path) -> anyhow::Result<()> {
    let file = std::path::absolute(file)?;
    let name = file.file_name().context("the archive needs a name")?.to_string_lossy();
    let temporary = file.with_file_name(format!(".{name}.new"));
    // The mode is set before there is anything to read.
    fs::File::create(&temporary).with_context(|| format!("making {}", temporary.display()))?;
    fs::set_permissions(&temporary, fs::Permissions::from_mode(0o600))?;
    let packed = run("tar", &["-cf", &text(&temporary), "-C", &text(&work.0), SNAPSHOT, PKI])
        .and_then(|_| Ok(fs::File::open(&temporary)?.sync_all()?))
        .and_then(|()| fs::rename(&temporary, &file).with_context(|| format!("writing {}", file.display())));
    if packed.is_err() {
        fs::remove_file(&temporary).ok();
    }
    packed
}

/// Only what a backup holds is taken out of the archive.
fn unpack(file: &Path, work: &Work) -> anyhow::Result<()> {
    let names: Vec<String> = ROOTS.iter().map(|name| format!("{PKI}/{name}")).collect();
    let (file, folder) = (text(file), text(&work.0));
    let mut arguments = vec!["-xf", &file, "-C", &folder, "--no-same-owner", SNAPSHOT];
    arguments.extend(names.iter().map(String::as_str));
    run("tar", &arguments)?;
    for name in names.iter().map(String::as_str).chain([SNAPSHOT]) {
        let kind = fs::symlink_metadata(work.file(name)).with_context(|| format!("reading {name}"))?.file_type();
        ensure!(kind.is_file(), "{name} is no file in the archive");
    }
    Ok(())
}

/// Makes a member's data of the snapshot, whose digest etcd checks.
fn make_data(cluster: &Cluster, master: &Master, work: &Work) -> anyhow::Result<()> {
    let arguments = [
        "snapshot".to_owned(),
        "restore".to_owned(),
        text(&work.file(SNAPSHOT)),
        format!("--name={}", master.name),
        format!("--data-dir={}", work.data(master).display()),
        format!("--initial-cluster={}", members(&cluster.masters)),
        format!("--initial-advertise-peer-urls={}", master.etcd(crate::layout::ETCD_PEER_PORT)),
    ];
    run("etcdctl", &arguments.each_ref().map(String::as_str)).map(drop)
}

/// Puts a member's data in place of what it has.
fn put_data(master: &Master, work: &Work) -> anyhow::Result<()> {
    let data = master.layout.data("etcd");
    let kept = master.layout.data(&format!("etcd.before-{}", jiff::Timestamp::now().as_second()));
    fs::rename(&data, &kept).with_context(|| format!("keeping {}", data.display()))?;
    fs::rename(work.data(master), &data).with_context(|| format!("writing {}", data.display()))?;
    fs::set_permissions(&data, fs::Permissions::from_mode(0o700))?;
    println!("  {}'s former data is in {}", master.name, kept.display());
    Ok(())
}

/// Puts the authorities in place. If they are others than before, whatever was issued goes, and `up` issues
/// it anew.
fn put_roots(cluster: &Cluster, from: &Path) -> anyhow::Result<()> {
    let pki = cluster.layout.pki("");
    let same = |name: &str| fs::read(pki.join(name)).ok() == fs::read(from.join(name)).ok();
    if ROOTS.into_iter().all(same) {
        return Ok(());
    }
    for host in cluster.hosts() {
        clear(&host.layout.pki(""))?;
    }
    clear(&pki)?;
    for kind in fs::read_dir(cluster.layout.data("nodes")).into_iter().flatten().flatten() {
        clear(&kind.path().join("pki"))?;
    }
    copy_roots(from, &pki)
}

fn clear(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        fs::remove_file(entry.path()).with_context(|| format!("removing {}", entry.path().display()))?;
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
