// Package api is the HTTP side of the daemon: the hooks that take deletions,
// the admin API (described by /openapi.json), health, and metrics. It decides
// who may do what, and leaves what is done to the services that it is given;
// none of them lets it remove anything.
package api
