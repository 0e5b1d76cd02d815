//! Kinesis's API: JSON over HTTP, signed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::{Client, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thalweg_dataflow::error::BoxError;

use super::signature::{Credentials, Request, time};
use crate::contract::{Failure, Place, Secret, without_credentials};
use crate::store::runtime;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// So long a request may take; and of one that has no end, so long nothing may come: Kinesis sends something every five seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes requests. Cloning it makes another handle to the same one.
///
/// ```no_run
/// use serde_json::json;
/// use thalweg_connectors::kinesis::KinesisClient;
///
/// let client = KinesisClient::from_env()?;
/// client.call("CreateStream", &json!({ "StreamName": "words", "ShardCount": 2 }))?;
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Clone)]
pub struct KinesisClient(Arc<Inner>);

struct Inner {
    http: Client,
    endpoint: String,
    host: String,
    region: String,
    credentials: Credentials,
}

impl fmt::Debug for KinesisClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.0.endpoint))
    }
}

/// What the service says of a request that it refuses, or why it could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum KinesisError {
    /// It has refused it.
    #[error("{kind} ({status}): {message}")]
    Refused {
        /// The status of HTTP.
        status: u16,
        /// `ResourceNotFoundException`, say.
        kind: String,
        /// What it says.
        message: String,
    },
    /// There was no answer, or none that could be read.
    #[error("no answer: {0}")]
    NoAnswer(BoxError),
}

impl KinesisError {
    /// Of which kind of refusal it is.
    pub fn kind(&self) -> &str {
        match self {
            Self::Refused { kind, .. } => kind,
            Self::NoAnswer(_) => "",
        }
    }

    /// Whether it may be over soon.
    pub fn passes(&self) -> bool {
        match self {
            Self::NoAnswer(_) => true,
            Self::Refused { status, kind, .. } => {
                *status >= 500
                    || kind.contains("Throttling")
                    || [
                        "ProvisionedThroughputExceededException",
                        "LimitExceededException",
                        "ExpiredIteratorException",
                        // A stream that is being made or changed, or a shard that was subscribed to only just.
                        "ResourceInUseException",
                    ]
                    .contains(&kind.as_str())
            }
        }
    }

    pub(super) fn failure(self) -> Failure {
        if self.passes() { Failure::passing(self) } else { Failure::lasting(self) }
    }
}

impl KinesisClient {
    /// With the endpoint, region and credentials of the environment; see the [module](super).
    ///
    /// # Errors
    /// When there are no credentials, or no region.
    pub fn from_env() -> Result<Self, BoxError> {
        Self::builder().build()
    }

    /// With what is said, and for the rest the environment.
    ///
    /// ```
    /// use thalweg_connectors::contract::Secret;
    /// use thalweg_connectors::kinesis::KinesisClient;
    ///
    /// let keys = KinesisClient::builder().region("eu-central-1").credentials("AKID", Secret::new("s3cr3t"));
    /// let client = keys.endpoint("http://localhost:4567").build()?;
    /// assert_eq!(format!("{client:?}"), "http://localhost:4567");
    /// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
    /// ```
    pub fn builder() -> KinesisClientBuilder {
        KinesisClientBuilder::default()
    }

    pub(super) fn place(&self, stream: &str) -> Place {
        Place::new("Kinesis", &format!("{}/{stream}", self.0.endpoint))
    }

    /// Makes a request, and waits for its answer.
    ///
    /// # Errors
    /// When it is refused, or not answered.
    pub fn call(&self, action: &str, body: &Value) -> Result<Value, KinesisError> {
        let runtime = runtime::handle().map_err(|error| KinesisError::NoAnswer(error.into()))?;
        runtime.block_on(self.request(action, body))
    }

    pub(super) async fn request(&self, action: &str, body: &Value) -> Result<Value, KinesisError> {
        self.ask(action, body).await
    }

    /// [`request`](Self::request), of and for any type; an answer without content is the default one.
    pub(super) async fn ask<A: DeserializeOwned + Default>(
        &self,
        action: &str,
        body: &impl Serialize,
    ) -> Result<A, KinesisError> {
        let answer = self.send(&self.0.http, action, body).await?;
        let bytes = answer.bytes().await.map_err(no_answer)?;
        content(&bytes).map_err(|error| KinesisError::NoAnswer(error.into()))
    }

    /// Subscribes to a shard, and returns the answer as it begins. Each has a connection of its own: over one that were shared, a subscription that is not read would hold up
    /// the others.
    pub(super) async fn subscribe(&self, body: &Value) -> Result<Response, KinesisError> {
        let http = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(TIMEOUT).build();
        self.send(&http.map_err(no_answer)?, "SubscribeToShard", body).await
    }

    /// Makes a request, and returns the answer as it begins, if it is no refusal.
    async fn send(
        &self,
        http: &Client,
        action: &str,
        body: &impl Serialize,
    ) -> Result<Response, KinesisError> {
        let Inner { endpoint, host, region, credentials, .. } = &*self.0;
        let body = serde_json::to_string(body).map_err(|error| KinesisError::NoAnswer(error.into()))?;
        let target = format!("Kinesis_20131202.{action}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let time = time(now);
        let signed = credentials.sign(&Request {
            host,
            region,
            service: "kinesis",
            content_type: CONTENT_TYPE,
            target: &target,
            body: body.as_bytes(),
            time: &time,
        });
        let mut request = http.post(format!("{endpoint}/"));
        for (name, value) in [
            ("content-type", CONTENT_TYPE),
            ("x-amz-date", &time),
            ("x-amz-target", &target),
            ("authorization", &signed),
        ] {
            request = request.header(name, value);
        }
        if let Some(token) = &credentials.token {
            request = request.header("x-amz-security-token", token.expose());
        }
        let answer = request.body(body).send().await.map_err(no_answer)?;
        let status = answer.status().as_u16();
        if status == 200 {
            return Ok(answer);
        }
        let bytes = answer.bytes().await.map_err(no_answer)?;
        let answer = serde_json::from_slice::<Value>(&bytes).unwrap_or(Value::Null);
        Err(refused(status, kind(&answer), &answer))
    }
}

/// What is in an answer, or in a part of one; nothing is the default.
pub(super) fn content<A: DeserializeOwned + Default>(bytes: &[u8]) -> serde_json::Result<A> {
    if bytes.is_empty() { Ok(A::default()) } else { serde_json::from_slice(bytes) }
}

fn no_answer(error: reqwest::Error) -> KinesisError {
    KinesisError::NoAnswer(error.without_url().into())
}

fn kind(refusal: &Value) -> &str {
    ["__type", "code"].iter().find_map(|name| refusal[name].as_str()).unwrap_or_default()
}

/// A refusal: its kind, with its namespace or without it, and what is said of it.
pub(super) fn refused(status: u16, kind: &str, answer: &Value) -> KinesisError {
    let kind = kind.rsplit('#').next().unwrap_or_default().to_owned();
    let message = ["message", "Message"].iter().find_map(|name| answer[name].as_str());
    KinesisError::Refused { status, kind, message: message.unwrap_or_default().to_owned() }
}

/// What says in a request which stream it is about: its ARN, which may be another account's, or its name.
pub(super) fn of_stream(stream: &str) -> Value {
    match stream.starts_with("arn:") {
        true => json!({ "StreamARN": stream }),
        false => json!({ "StreamName": stream }),
    }
}

/// The same in a request about its shards. Either would do, or both; but a server for tests wants the name in these, and one of them in others.
pub(super) fn of_stream_to_read(stream: &str) -> Value {
    let mut request = of_stream(stream);
    if let Some((_, name)) = stream.rsplit_once(":stream/") {
        request["StreamName"] = name.into();
    }
    request
}

/// Makes a [`KinesisClient`].
#[derive(Clone, Debug, Default)]
pub struct KinesisClientBuilder {
    endpoint: Option<String>,
    region: Option<String>,
    credentials: Option<Credentials>,
    profile: (Option<String>, Option<String>),
}

impl KinesisClientBuilder {
    /// Where the service is, if it is not Amazon's: `http://localhost:4567`.
    #[must_use]
    pub fn endpoint(mut self, url: &str) -> Self {
        self.endpoint = Some(url.to_owned());
        self
    }

    /// The region: `eu-central-1`.
    #[must_use]
    pub fn region(mut self, region: &str) -> Self {
        self.region = Some(region.to_owned());
        self
    }

    /// Who asks.
    #[must_use]
    pub fn credentials(mut self, access_key_id: &str, secret_access_key: Secret) -> Self {
        let key = access_key_id.to_owned();
        self.credentials = Some(Credentials { key, secret: secret_access_key, token: None });
        self
    }

    /// Who asks: a profile, and the file that it is in, where they are not those of `AWS_PROFILE` and `~/.aws/credentials`. Keys in the environment are not looked at then.
    #[must_use]
    pub fn profile(mut self, name: Option<&str>, file: Option<&str>) -> Self {
        self.profile = (name.map(str::to_owned), file.map(str::to_owned));
        self
    }

    /// # Errors
    /// When there are no credentials, or no region, here or in the environment.
    pub fn build(self) -> Result<KinesisClient, BoxError> {
        // TLS wants one for the process; that another one is there already is fine.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let region = self.region.or_else(|| var("AWS_REGION")).or_else(|| var("AWS_DEFAULT_REGION"));
        let region = region.ok_or("Kinesis: no region; set AWS_REGION to one such as eu-central-1")?;
        let endpoint = self.endpoint.or_else(|| var("AWS_ENDPOINT_URL_KINESIS"));
        let endpoint = endpoint.or_else(|| var("AWS_ENDPOINT_URL"));
        let endpoint = endpoint.unwrap_or_else(|| format!("https://kinesis.{region}.amazonaws.com"));
        let endpoint = endpoint.trim_end_matches('/').to_owned();
        let Some((_, host)) = endpoint.split_once("://") else {
            let shown = without_credentials(&endpoint);
            return Err(format!(
                "Kinesis: the endpoint `{shown}` has no scheme; it is a URL such as http://localhost:4567"
            )
            .into());
        };
        let host = host.to_owned();
        let credentials = self.credentials.map_or_else(|| credentials(var, self.profile), Ok)?;
        let http = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(KinesisClient(Arc::new(Inner { http, endpoint, host, region, credentials })))
    }
}

fn credentials(
    var: impl Fn(&str) -> Option<String>,
    (profile, file): (Option<String>, Option<String>),
) -> Result<Credentials, BoxError> {
    if profile.is_none()
        && file.is_none()
        && let (Some(key), Some(secret)) = (var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY"))
    {
        let token = var("AWS_SESSION_TOKEN").map(Secret::new);
        return Ok(Credentials { key, secret: Secret::new(secret), token });
    }
    let file = file
        .or_else(|| var("AWS_SHARED_CREDENTIALS_FILE"))
        .or_else(|| Some(format!("{}/.aws/credentials", var("HOME")?)));
    let profile = profile.or_else(|| var("AWS_PROFILE")).unwrap_or_else(|| "default".to_owned());
    let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
    of_profile(&text, &profile).ok_or_else(|| {
        format!("Kinesis: no credentials: neither AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, nor the profile `{profile}` in {}", file.as_deref().unwrap_or("~/.aws/credentials")).into()
    })
}

/// What a file of credentials has for a profile.
fn of_profile(text: &str, profile: &str) -> Option<Credentials> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != format!("[{profile}]"));
    lines.next()?;
    let (mut key, mut secret, mut token) = (None, None, None);
    for line in lines.take_while(|line| !line.starts_with('[')) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = value.trim().to_owned();
        match name.trim() {
            "aws_access_key_id" => key = Some(value),
            "aws_secret_access_key" => secret = Some(Secret::new(value)),
            "aws_session_token" => token = Some(Secret::new(value)),
            _ => {}
        }
    }
    Some(Credentials { key: key?, secret: secret?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_and_shows_no_secret() {
        let text = "[other]\naws_access_key_id = no\n\n[me]\naws_access_key_id=AKID\naws_secret_access_key = s3cr3t\n[last]\naws_session_token = t\n";
        let credentials = of_profile(text, "me").unwrap();
        assert_eq!((credentials.key.as_str(), credentials.secret.expose()), ("AKID", "s3cr3t"));
        assert!(credentials.token.is_none() && !format!("{credentials:?}").contains("s3cr3t"));
        assert!(of_profile(text, "other").is_none() && of_profile(text, "nobody").is_none());
    }
}
