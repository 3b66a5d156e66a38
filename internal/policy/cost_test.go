package policy

import "testing"

// What can multiply the work is counted while it runs, and nothing else.
func TestPlain(t *testing.T) {
	env, err := newEnv()
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`!explained`: true,
		`project.name == "physics" && size_bytes > 10 * GiB`:         false, // arithmetic
		`resource_kind == "vm" && lifetime < duration("1h")`:         true,
		`"role" in metadata && metadata["role"].startsWith("batch")`: true,
		`in_cidr("10.0.0.1", "10.0.0.0/8") || kind in ["delete"]`:    true,
		`addresses.exists(a, in_cidr(a, "10.0.0.0/8"))`:              true,
		`addresses.exists(a, a == "x") || tags.all(t, t != "x")`:     true,
		`tags.all(a, tags.all(b, a != b))`:                           false,
		`tags.all(a, a + a != "x")`:                                  false,
		`tags.exists_one(a, a == "x")`:                               false, // it adds
		`["a", "b"].all(x, x == "a" && x == "b")`:                    false, // its own length twice
		`tags.all(t, t in networks)`:                                 false,
		`tags.all(t, t in tags)`:                                     false,
		`tags.all(tags, tags in networks)`:                           false,
		`tags.all(t, t in .tags)`:                                    false,
		`tags.exists(t, metadata["x"].contains(t))`:                  false,
		`metadata.exists(k, k in ["a", "b"])`:                        true,
		`original_name.replace("", original_name) == "x"`:            false,
		`original_name + original_name == "x"`:                       false,
		`host.matches("^node[0-9]+$")`:                               false,
		`"a" in tags.map(t, t)`:                                      false,
	} {
		a, issues := env.Compile(text)
		if err := issues.Err(); err != nil {
			t.Fatal(err)
		}
		if got := plain(a); got != want {
			t.Errorf("%s: %t, want %t", text, got, want)
		}
	}
}
