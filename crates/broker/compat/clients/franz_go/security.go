package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// security is how the client proves who it is.
func security(text string) ([]kgo.Opt, error) {
	var proof struct {
		Mechanism, Username, Password, Authority string
	}
	if err := json.Unmarshal([]byte(text), &proof); err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(proof.Authority)
	if err != nil {
		return nil, err
	}
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(authority)
	mechanisms := map[string]sasl.Mechanism{
		"PLAIN":         plain.Auth{User: proof.Username, Pass: proof.Password}.AsMechanism(),
		"SCRAM-SHA-256": scram.Auth{User: proof.Username, Pass: proof.Password}.AsSha256Mechanism(),
		"SCRAM-SHA-512": scram.Auth{User: proof.Username, Pass: proof.Password}.AsSha512Mechanism(),
	}
	return []kgo.Opt{
		kgo.DialTLSConfig(&tls.Config{RootCAs: authorities}),
		kgo.SASL(mechanisms[proof.Mechanism]),
	}, nil
}
