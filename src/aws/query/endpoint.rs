//! The URL at which a service is called.

use aws_config::SdkConfig;
use aws_sdk_sts::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use aws_smithy_runtime_api::client::endpoint::{EndpointFuture, EndpointResolverParams, ResolveEndpoint};
use aws_smithy_types::endpoint;
use aws_types::service_config::ServiceConfigKey;
use futures_util::FutureExt;

use crate::error::BoxError;

/// The URL of a service in a Region, or why there is none.
#[derive(Clone, Debug)]
pub(super) struct Endpoint(Result<String, String>);

impl Endpoint {
    /// Takes the URL from the settings, or else the one that the service has in the Region.
    pub(super) fn of(sdk: &SdkConfig, service_id: &str, name: &str) -> Self {
        Self(resolve(sdk, custom(sdk, service_id).as_deref(), name).map_err(|error| error.to_string()))
    }

    pub(super) fn url(&self) -> Result<&str, BoxError> {
        Ok(self.0.as_deref().map_err(String::as_str)?)
    }
}

impl ResolveEndpoint for Endpoint {
    fn resolve_endpoint<'a>(&'a self, _: &'a EndpointResolverParams) -> EndpointFuture<'a> {
        EndpointFuture::ready(self.url().map(|url| endpoint::Endpoint::builder().url(url.to_owned()).build()))
    }
}

/// The URL in the settings. As for every SDK client, one in code comes first, then the service's own in the environment
/// or a profile, then that for all services.
fn custom(sdk: &SdkConfig, service_id: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service_id).env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let own = || sdk.service_config()?.load_config(key.build().ok()?);
    let is_in_code = sdk.get_origin("endpoint_url").is_client_config();
    let own = if is_in_code { None } else { own() };
    own.or_else(|| sdk.endpoint_url().map(str::to_owned))
}

/// The services that are called here have host names like those of AWS STS, in all partitions, with dual stack and FIPS.
/// Two have other names for FIPS: EKS in the partition `aws`, and `EventBridge` in `aws-us-gov`, as their endpoint rules say.
fn resolve(sdk: &SdkConfig, custom: Option<&str>, name: &str) -> Result<String, BoxError> {
    let params = Params::builder()
        .set_region(sdk.region().map(ToString::to_string))
        .set_endpoint(custom.map(str::to_owned))
        .set_use_dual_stack(sdk.use_dual_stack())
        .set_use_fips(sdk.use_fips())
        .use_global_endpoint(false)
        .build()?;
    let resolved = DefaultResolver::new().resolve_endpoint(&params).now_or_never();
    let url = resolved.ok_or("the endpoint could not be resolved at once")??.url().to_owned();
    if custom.is_some() {
        return Ok(url);
    }
    let rest = url.strip_prefix("https://sts").ok_or_else(|| format!("{url} is no model for other services"))?;
    Ok(match (name, rest.strip_prefix("-fips")) {
        ("eks", Some(rest)) if rest.ends_with(".amazonaws.com") => format!("https://fips.eks{rest}"),
        ("events", Some(rest)) if rest.starts_with(".us-gov-") => format!("https://events{rest}"),
        _ => format!("https://{name}{rest}"),
    })
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};
    use aws_types::{origin::Origin, service_config::LoadServiceConfig};

    use super::*;

    fn in_region(region: &'static str) -> aws_types::sdk_config::Builder {
        SdkConfig::builder().region(Region::new(region)).behavior_version(BehaviorVersion::v2026_01_12())
    }

    fn url(sdk: &SdkConfig) -> String {
        Endpoint::of(sdk, "Auto Scaling", "autoscaling").url().unwrap().to_owned()
    }

    #[test]
    fn endpoint_is_that_of_the_region_and_its_partition() {
        for (region, plain, dual_stack, fips) in [
            ("us-east-1", "us-east-1.amazonaws.com", "us-east-1.api.aws", "-fips.us-east-1.amazonaws.com"),
            (
                "cn-north-1",
                "cn-north-1.amazonaws.com.cn",
                "cn-north-1.api.amazonwebservices.com.cn",
                "-fips.cn-north-1.amazonaws.com.cn",
            ),
            ("us-gov-west-1", "us-gov-west-1.amazonaws.com", "us-gov-west-1.api.aws", ".us-gov-west-1.amazonaws.com"),
            ("us-iso-east-1", "us-iso-east-1.c2s.ic.gov", "", "-fips.us-iso-east-1.c2s.ic.gov"),
            ("eusc-de-east-1", "eusc-de-east-1.amazonaws.eu", "", "-fips.eusc-de-east-1.amazonaws.eu"),
        ] {
            assert_eq!(url(&in_region(region).build()), format!("https://autoscaling.{plain}"));
            assert_eq!(url(&in_region(region).use_fips(true).build()), format!("https://autoscaling{fips}"));
            if !dual_stack.is_empty() {
                let sdk = in_region(region).use_dual_stack(true).build();
                assert_eq!(url(&sdk), format!("https://autoscaling.{dual_stack}"));
            }
        }
        let both = in_region("us-gov-east-1").use_dual_stack(true).use_fips(true).build();
        assert_eq!(url(&both), "https://autoscaling-fips.us-gov-east-1.api.aws");
        assert!(Endpoint::of(&SdkConfig::builder().build(), "SQS", "sqs").url().is_err());
    }

    #[test]
    fn endpoints_of_eks_and_eventbridge_have_names_of_their_own_for_fips() {
        for (region, use_dual_stack, use_fips, eks, events) in [
            ("us-east-1", false, false, "eks.us-east-1.amazonaws.com", "events.us-east-1.amazonaws.com"),
            ("us-east-1", true, false, "eks.us-east-1.api.aws", "events.us-east-1.api.aws"),
            ("us-east-1", false, true, "fips.eks.us-east-1.amazonaws.com", "events-fips.us-east-1.amazonaws.com"),
            ("us-east-1", true, true, "eks-fips.us-east-1.api.aws", "events-fips.us-east-1.api.aws"),
            ("us-gov-west-1", false, true, "eks.us-gov-west-1.amazonaws.com", "events.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, true, "eks-fips.us-gov-west-1.api.aws", "events.us-gov-west-1.api.aws"),
            ("us-gov-west-1", true, false, "eks.us-gov-west-1.api.aws", "events.us-gov-west-1.api.aws"),
            (
                "cn-north-1",
                false,
                true,
                "eks-fips.cn-north-1.amazonaws.com.cn",
                "events-fips.cn-north-1.amazonaws.com.cn",
            ),
            ("us-iso-east-1", false, true, "eks-fips.us-iso-east-1.c2s.ic.gov", "events-fips.us-iso-east-1.c2s.ic.gov"),
            (
                "eusc-de-east-1",
                false,
                true,
                "eks-fips.eusc-de-east-1.amazonaws.eu",
                "events-fips.eusc-de-east-1.amazonaws.eu",
            ),
        ] {
            let sdk = in_region(region).use_dual_stack(use_dual_stack).use_fips(use_fips).build();
            for (service_id, name, host) in [("EKS", "eks", eks), ("EventBridge", "events", events)] {
                assert_eq!(Endpoint::of(&sdk, service_id, name).url().unwrap(), format!("https://{host}"));
            }
        }
    }

    /// The environment variable of one service.
    #[derive(Debug)]
    struct Variable;

    impl LoadServiceConfig for Variable {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            assert_eq!((key.env(), key.profile()), ("AWS_ENDPOINT_URL", "endpoint_url"));
            (key.service_id() == "Auto Scaling").then(|| "http://own".to_owned())
        }
    }

    #[test]
    fn endpoint_in_settings_comes_first() {
        let sdk = |origin| {
            let mut sdk = in_region("us-east-1").endpoint_url("http://all").service_config(Variable);
            sdk.insert_origin("endpoint_url", origin);
            sdk.build()
        };
        let of = |origin, id| Endpoint::of(&sdk(origin), id, "autoscaling").url().unwrap().to_owned();
        assert_eq!(of(Origin::shared_environment_variable(), "Auto Scaling"), "http://own");
        assert_eq!(of(Origin::shared_environment_variable(), "SQS"), "http://all");
        assert_eq!(of(Origin::shared_config(), "Auto Scaling"), "http://all");
    }
}
