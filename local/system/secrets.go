package system

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strings"
)

// secrets is Secrets Manager. Its values may be a person's own keys, and every program on
// this machine can reach the endpoint. So it answers only requests with the functions'
// session token, whatever their access key.
type secrets struct {
	values map[string]string // by ARN
	token  string
}

func newSecrets(values map[string]string) secrets {
	return secrets{values: values, token: rand.Text()}
}

// admits reports whether a token is the functions'.
func (s secrets) admits(token string) bool { return same(token, s.token) }

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// serve answers GetSecretValue. A secret has only its current version.
func (s secrets) serve(w http.ResponseWriter, c call, token string) {
	if !s.admits(token) {
		c.fail(w, http.StatusBadRequest, "AccessDeniedException", "on this machine only the functions of the stack may read a secret")
		return
	}
	arn, _ := c.fields["SecretId"].(string)
	value, ok := s.values[arn]
	if !ok {
		c.fail(w, http.StatusBadRequest, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
		return
	}
	name := arn[strings.LastIndex(arn, ":")+1:]
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	json.NewEncoder(w).Encode(map[string]any{
		"ARN": arn, "Name": name[:strings.LastIndex(name, "-")], "SecretString": value, "VersionStages": []string{"AWSCURRENT"},
	})
}
