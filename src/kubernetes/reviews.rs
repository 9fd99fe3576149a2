//! Questions to the API server about who somebody is and what he may do.

use anyhow::Context;
use kube::{Client, Resource, api::PostParams, core::Request};
use serde::{Serialize, de::DeserializeOwned};

/// Has the API server answer a review, such as a TokenReview.
///
/// # Errors
/// It gives no answer, or one that can't be read. Nothing of the question is in the error.
pub(crate) async fn ask<K>(client: &Client, review: &K) -> anyhow::Result<K>
where
    K: Resource<Scope = k8s_openapi::ClusterResourceScope, DynamicType = ()> + Serialize + DeserializeOwned,
{
    let name = || format!("create {}", K::kind(&()));
    let request = Request::new(K::url_path(&(), None))
        .create(&PostParams::default(), serde_json::to_vec(review).with_context(name)?)
        .with_context(name)?;
    // Answers repeat the question, and kube logs answers that it can't read: nothing of this one is shown.
    let answer = client.request_text(request).await.with_context(name)?;
    serde_json::from_str(&answer).map_err(|_| anyhow::anyhow!("the answer can't be read")).with_context(name)
}
