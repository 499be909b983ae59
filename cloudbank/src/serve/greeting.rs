//! What is said when the server is ready: where it is, and a line to paste for each common client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use gateway_http::Listener;
use serde_json::{Value, json};

use super::keys::OnlyKey;
use crate::error::Result;
use crate::output::Output;

/// What there is to say.
pub(crate) struct Greeting<'a> {
    pub(crate) listeners: &'a [Listener],
    pub(crate) admin: Option<SocketAddr>,
    /// Where other servers hand it their commits.
    pub(crate) combiner: Option<SocketAddr>,
    /// The name of the provider, and its description.
    pub(crate) store: (&'a str, &'a str),
    pub(crate) region: &'a str,
    pub(crate) keys: usize,
    /// Where the keys are, beside those of the configuration.
    pub(crate) keys_file: Option<&'a Path>,
    /// The key that was made up, to be told.
    pub(crate) only_key: Option<&'a OnlyKey>,
}

impl Greeting<'_> {
    /// Says it.
    pub(crate) fn say(&self, output: &Output) -> Result<()> {
        match (output.json, output.quiet) {
            (true, _) => output.json(&self.json())?,
            (false, true) => {}
            (false, false) => output.line(self.words())?,
        }
        output.flush()
    }

    fn endpoints(&self) -> Vec<String> {
        self.listeners
            .iter()
            .map(|listener| {
                let scheme = if listener.is_tls() { "https" } else { "http" };
                format!("{scheme}://{}", reachable(listener.address()))
            })
            .collect()
    }

    fn json(&self) -> Value {
        let mut said = json!({
            "endpoints": self.endpoints(),
            "admin": self.admin.map(|admin| format!("http://{}", reachable(admin))),
            "provider": self.store.0,
            "region": self.region,
            "keys": self.keys,
            "keys_file": self.keys_file,
        });
        if let Some(combiner) = self.combiner {
            said["combiner"] = json!(reachable(combiner).to_string());
        }
        if let Some(key) = self.only_key {
            said["access_key"] = json!(key.access_key);
            said["secret_key"] = json!(key.secret_key.reveal());
        }
        said
    }

    fn words(&self) -> String {
        let endpoints = self.endpoints();
        let (name, place) = self.store;
        let mut said = format!("serving the store on `{name}` ({place})\n\n");
        for endpoint in &endpoints {
            said += &format!("  endpoint     {endpoint}\n");
        }
        said += &format!("  region       {}\n", self.region);
        let file = self.keys_file.map(|file| file.display().to_string());
        match (self.only_key, file) {
            (Some(key), file) => {
                let kept = file.map(|file| format!("   (kept in {file})")).unwrap_or_default();
                said += &format!("  access key   {}{kept}\n", key.access_key);
                said += &format!("  secret key   {}\n", key.secret_key.reveal());
            }
            (None, Some(file)) => {
                said += &format!("  access keys  {}, also from {file}\n", self.keys);
            }
            (None, None) => said += &format!("  access keys  {}\n", self.keys),
        }
        if let Some(admin) = self.admin {
            said += &format!(
                "  operator     http://{}/-/ready, /-/healthy, /-/metrics\n",
                reachable(admin)
            );
        }
        if let Some(combiner) = self.combiner {
            said += &format!("  combiner     {combiner}, for the other servers of this store\n");
        }
        if let (Some(key), Some(endpoint)) = (self.only_key, endpoints.first()) {
            said += &format!("\n{}", clients(endpoint, key, self.region));
        }
        said + "\nCtrl-C stops it, and finishes what it has accepted"
    }
}

/// A line for each common client. All of them work as they stand, once there is a bucket.
fn clients(endpoint: &str, key: &OnlyKey, region: &str) -> String {
    let (access, secret) = (&key.access_key, key.secret_key.reveal());
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    let plain = if endpoint.starts_with("http://") { " --no-ssl" } else { "" };
    let variables = format!("AWS_ACCESS_KEY_ID={access} AWS_SECRET_ACCESS_KEY={secret}");
    format!(
        "aws-cli  {variables} AWS_DEFAULT_REGION={region} aws --endpoint-url {endpoint} s3 mb s3://my-bucket\n\
         boto3    boto3.client(\"s3\", endpoint_url=\"{endpoint}\", region_name=\"{region}\", \
         aws_access_key_id=\"{access}\", aws_secret_access_key=\"{secret}\")\n\
         rclone   rclone lsd \":s3,provider=Other,region={region},access_key_id={access},\
         secret_access_key={secret},endpoint='{endpoint}':\"\n\
         s3cmd    s3cmd --access_key={access} --secret_key={secret} --region={region} --host={host} \
         --host-bucket={host}{plain} ls\n\
         restic   {variables} restic -r s3:{endpoint}/my-bucket init\n\
         mc       mc alias set cloudbank {endpoint} {access} {secret}\n"
    )
}

/// An address that a client on this machine can reach.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
