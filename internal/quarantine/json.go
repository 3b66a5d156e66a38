package quarantine

import (
	"encoding/json"
	"time"
)

// Durations in JSON are written as people write them ("14d"), in records and
// in every output.

// period is a duration as JSON shows it.
type period time.Duration

func (p period) MarshalText() ([]byte, error) { return []byte(FormatDuration(time.Duration(p))), nil }

func (p *period) UnmarshalText(b []byte) error {
	d, err := ParseDuration(string(b))
	*p = period(d)
	return err
}

// The types below have a plain twin without methods, whose duration is
// shadowed by a period.

type plainDecision Decision

type decisionJSON struct {
	plainDecision
	Retain period `json:"retain"`
	Min    period `json:"min,omitzero"`
}

// MarshalJSON writes the decision with its times as texts.
func (d Decision) MarshalJSON() ([]byte, error) {
	return json.Marshal(decisionJSON{plainDecision(d), period(d.Retain), period(d.Min)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (d *Decision) UnmarshalJSON(b []byte) error {
	var j decisionJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*d = Decision(j.plainDecision)
	d.Retain, d.Min = time.Duration(j.Retain), time.Duration(j.Min)
	return nil
}

type plainSetting GuardSetting

type settingJSON struct {
	plainSetting
	Expire period `json:"expire"`
}

// MarshalJSON writes the setting with its protection time as a text.
func (s GuardSetting) MarshalJSON() ([]byte, error) {
	return json.Marshal(settingJSON{plainSetting(s), period(s.Expire)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (s *GuardSetting) UnmarshalJSON(b []byte) error {
	var j settingJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*s = GuardSetting(j.plainSetting)
	s.Expire = time.Duration(j.Expire)
	return nil
}

type plainPool Pool

type poolJSON struct {
	plainPool
	Protect period `json:"protect"`
}

// MarshalJSON writes the pool with its protection time as a text.
func (p Pool) MarshalJSON() ([]byte, error) {
	return json.Marshal(poolJSON{plainPool(p), period(p.Protect)})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Pool) UnmarshalJSON(b []byte) error {
	var j poolJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*p = Pool(j.plainPool)
	p.Protect = time.Duration(j.Protect)
	return nil
}
