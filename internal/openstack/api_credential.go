package openstack

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"regexp"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
)

// credential reads the login, from clouds.yaml or the environment. Its errors
// wrap ErrInvalid and repeat no value of what was read.
func credential(cfg APIConfig) (gophercloud.AuthOptions, gophercloud.EndpointOpts, *tls.Config, error) {
	var login gophercloud.AuthOptions
	var endpoints gophercloud.EndpointOpts
	var trust *tls.Config
	entry := orDefault(cfg.Entry, os.Getenv("OS_CLOUD"))
	switch {
	case entry == "" && cfg.CloudsFile != "":
		return login, endpoints, nil, badAPI("clouds file %s: no entry of it is named", cfg.CloudsFile)
	case entry != "":
		opts := []clouds.ParseOption{clouds.WithCloudName(entry)}
		if cfg.CloudsFile != "" {
			opts = append(opts, clouds.WithLocations(cfg.CloudsFile))
		}
		var err error
		if login, endpoints, trust, err = clouds.Parse(opts...); err != nil {
			return login, endpoints, nil, badAPI("clouds entry %s: %s", entry, quoted.ReplaceAllString(err.Error(), "…"))
		}
	default:
		var err error
		if login, endpoints, err = environment(); err != nil {
			return login, endpoints, nil, err
		}
	}
	if login.IdentityEndpoint == "" {
		return login, endpoints, nil, badAPI("no auth_url")
	}
	if cfg.Region != "" {
		endpoints.Region = cfg.Region
	}
	switch cfg.Interface {
	case "":
	case "public", "internal", "admin":
		endpoints.Availability = gophercloud.Availability(cfg.Interface)
	default:
		return login, endpoints, nil, badAPI("interface %q is not public, internal or admin", cfg.Interface)
	}
	if endpoints.Availability == "" {
		endpoints.Availability = gophercloud.AvailabilityPublic
	}
	ca := cfg.CAFile
	if ca == "" && entry == "" {
		ca = os.Getenv("OS_CACERT")
	}
	if ca != "" {
		if trust == nil {
			trust = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		pem, err := os.ReadFile(ca)
		if err != nil {
			return login, endpoints, nil, badAPI("CA file: %s", err)
		}
		trust.RootCAs = x509.NewCertPool()
		if !trust.RootCAs.AppendCertsFromPEM(pem) {
			return login, endpoints, nil, badAPI("CA file %s: no certificate in it", ca)
		}
	}
	login.AllowReauth = login.TokenID == ""
	return login, endpoints, trust, nil
}

// quoted is what the YAML library repeats of a file in its errors; it may be a
// password.
var quoted = regexp.MustCompile("(?s)`.*`")

// environment reads the OS_* variables.
func environment() (gophercloud.AuthOptions, gophercloud.EndpointOpts, error) {
	var endpoints gophercloud.EndpointOpts
	if os.Getenv("OS_AUTH_URL") == "" {
		return gophercloud.AuthOptions{}, endpoints, badAPI("no credential: neither an entry of clouds.yaml nor OS_AUTH_URL is given")
	}
	// The library knows one pair of variables for both domains only.
	var user, project domain
	user = domain{os.Getenv("OS_USER_DOMAIN_ID"), os.Getenv("OS_USER_DOMAIN_NAME")}.or(domain{os.Getenv("OS_DOMAIN_ID"), os.Getenv("OS_DOMAIN_NAME")})
	project = domain{os.Getenv("OS_PROJECT_DOMAIN_ID"), os.Getenv("OS_PROJECT_DOMAIN_NAME")}.or(user)
	login := gophercloud.AuthOptions{
		IdentityEndpoint: os.Getenv("OS_AUTH_URL"),
		Username:         os.Getenv("OS_USERNAME"), UserID: orDefault(os.Getenv("OS_USER_ID"), os.Getenv("OS_USERID")),
		Password: os.Getenv("OS_PASSWORD"), TokenID: os.Getenv("OS_TOKEN"),
		ApplicationCredentialID:     os.Getenv("OS_APPLICATION_CREDENTIAL_ID"),
		ApplicationCredentialName:   os.Getenv("OS_APPLICATION_CREDENTIAL_NAME"),
		ApplicationCredentialSecret: os.Getenv("OS_APPLICATION_CREDENTIAL_SECRET"),
	}
	if login.UserID == "" && login.ApplicationCredentialID == "" && login.TokenID == "" {
		if login.Username == "" {
			return login, endpoints, badAPI("no credential: OS_USERNAME, OS_USER_ID and OS_APPLICATION_CREDENTIAL_ID are empty")
		}
		login.DomainID, login.DomainName = user.id, user.name
	}
	if login.Password == "" && login.ApplicationCredentialSecret == "" && login.TokenID == "" {
		return login, endpoints, badAPI("no credential: OS_PASSWORD and OS_APPLICATION_CREDENTIAL_SECRET are empty")
	}
	switch {
	case login.ApplicationCredentialSecret != "": // it has its project
	case os.Getenv("OS_TRUST_ID") != "":
		login.Scope = &gophercloud.AuthScope{TrustID: os.Getenv("OS_TRUST_ID")}
	case orDefault(os.Getenv("OS_PROJECT_ID"), os.Getenv("OS_TENANT_ID")) != "":
		login.Scope = &gophercloud.AuthScope{ProjectID: orDefault(os.Getenv("OS_PROJECT_ID"), os.Getenv("OS_TENANT_ID"))}
	case orDefault(os.Getenv("OS_PROJECT_NAME"), os.Getenv("OS_TENANT_NAME")) != "":
		login.Scope = &gophercloud.AuthScope{
			ProjectName: orDefault(os.Getenv("OS_PROJECT_NAME"), os.Getenv("OS_TENANT_NAME")),
			DomainID:    project.id, DomainName: project.name,
		}
	}
	endpoints.Region = os.Getenv("OS_REGION_NAME")
	switch os.Getenv("OS_INTERFACE") {
	case "internal", "internalURL":
		endpoints.Availability = gophercloud.AvailabilityInternal
	case "admin", "adminURL":
		endpoints.Availability = gophercloud.AvailabilityAdmin
	}
	return login, endpoints, nil
}

// domain is a Keystone domain, by its id or its name; not by both, which
// Keystone's clients refuse.
type domain struct{ id, name string }

func (d domain) or(other domain) domain {
	switch {
	case d.id != "":
		return domain{id: d.id}
	case d.name != "":
		return domain{name: d.name}
	case other == domain{}:
		return domain{name: "Default"}
	}
	return other.or(domain{name: "Default"})
}
