package kms_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"kms"
)

// TestScenarios runs the scenario files, as every other surface does. The language and the rules of comparison are in
// scenarios/README.md; KMS_SCENARIOS may name another directory. A file that breaks the grammar ends the run.
func TestScenarios(t *testing.T) {
	directory := os.Getenv("KMS_SCENARIOS")
	if directory == "" {
		directory = filepath.Join("..", "..", "scenarios")
	}
	names, err := filepath.Glob(filepath.Join(directory, "*.txt"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no scenario files", directory)
	}
	var total counts
	for _, name := range names {
		run := &scenario{t: t, file: name, counts: &total}
		run.all()
		total.files++
	}
	fmt.Printf("%d files, %d sections, %d steps\n", total.files, total.sections, total.steps)
	fmt.Printf("%d passed, %d failed\n", total.steps-total.failed, total.failed)
}

type counts struct{ files, sections, steps, failed int }

type scenario struct {
	*counts
	t    *testing.T
	file string
	line int // where the present item begins

	engine    *kms.Engine
	captured  map[string]string
	hasFailed bool // later steps may then lack a capture, which is not the file's mistake
}

var (
	openForm    = regexp.MustCompile(`^@ (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (\d+)(?: (\{.*\}))?$`)
	advanceForm = regexp.MustCompile(`^\+ (\d+)$`)
	dueForm     = regexp.MustCompile(`^\* (\{.*\})$`)
	callForm    = regexp.MustCompile(`(?s)^([A-Za-z]+) (?:(\s*\{.*)|!(?: (.*))?)$`)
	errorForm   = regexp.MustCompile(`^error (\S+) (\d+)(?: (\S+))?$`)
	captureForm = regexp.MustCompile(`^<([a-z][a-z0-9_]*|\*)>$`)
	replaceForm = regexp.MustCompile(`\$\$|%%|\$[a-z][a-z0-9_]*|%repeat\([^,)"\\]+,\d+\)` +
		`|%wrap\([a-z][a-z0-9_]*,(?:[0-9a-f]{2})*\)|[$%]`)
	uuidForm = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// stop reports a mistake in the file, or a failure that leaves nothing to run.
func (s *scenario) stop(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s", s.file, s.line, fmt.Sprintf(format, args...))
}

// fail reports that the engine did not do what the step expects.
func (s *scenario) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("%s:%d: %s", s.file, s.line, fmt.Sprintf(format, args...))
	s.hasFailed = true
	s.failed++
}

func (s *scenario) all() {
	text, err := os.ReadFile(s.file)
	if err != nil {
		s.stop("%v", err)
	}
	defer func() {
		if s.engine != nil {
			s.engine.Close()
		}
	}()
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for at := 0; at < len(lines); at++ {
		line := lines[at]
		s.line = at + 1
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '@':
			s.open(line)
		case s.engine == nil:
			s.stop("nothing is called before the first @")
		case line[0] == '+':
			s.advance(line)
		case line[0] == '*':
			s.runDue(line)
		default:
			first := at
			for ; at < len(lines) && lines[at] != "----"; at++ {
				if lines[at] == "" {
					s.stop("a blank line inside a step")
				}
			}
			call := strings.Join(lines[first:at], "\n")
			answer := at + 1
			for at = answer; at < len(lines) && lines[at] != ""; at++ {
			}
			if answer >= at {
				s.stop("a step without an answer")
			}
			s.step(call, strings.Join(lines[answer:at], "\n"))
		}
	}
}

func (s *scenario) open(item string) {
	parts := openForm.FindStringSubmatch(item)
	if parts == nil {
		s.stop("an engine is opened with `@ time seed [object]`")
	}
	clock, err := time.Parse("2006-01-02T15:04:05Z", parts[1])
	if err != nil {
		s.stop("%v", err)
	}
	seed, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil {
		s.stop("%v", err)
	}
	config := kms.Config{Store: "memory:", ManualClock: clock, Seed: &seed}
	if parts[3] != "" {
		if err := json.Unmarshal([]byte(parts[3]), &config.Options); err != nil {
			s.stop("%v", err)
		}
	}
	if s.engine != nil {
		s.engine.Close()
	}
	if s.engine, err = kms.Open(config); err != nil {
		s.stop("%v", err)
	}
	s.captured = map[string]string{}
	s.hasFailed = false
	s.sections++
}

func (s *scenario) advance(item string) {
	parts := advanceForm.FindStringSubmatch(item)
	if parts == nil {
		s.stop("the clock is moved with `+ seconds`")
	}
	seconds, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		s.stop("%v", err)
	}
	// A Duration ends after 292 years; a scenario may go further.
	const longest = int64(250 * 365 * 24 * time.Hour / time.Second)
	for ; seconds > longest; seconds -= longest {
		if err := s.engine.AdvanceClock(time.Duration(longest) * time.Second); err != nil {
			s.stop("%v", err)
		}
	}
	if err := s.engine.AdvanceClock(time.Duration(seconds) * time.Second); err != nil {
		s.stop("%v", err)
	}
}

func (s *scenario) runDue(item string) {
	parts := dueForm.FindStringSubmatch(item)
	var expected, actual map[string]any
	if parts == nil || json.Unmarshal([]byte(parts[1]), &expected) != nil {
		s.stop("what is due is done with `* {json}`")
	}
	s.steps++
	report, err := s.engine.RunDue()
	if err != nil {
		s.fail("%v", err)
	} else if json.Unmarshal(report, &actual) != nil || !reflect.DeepEqual(expected, actual) {
		s.fail("the report differs\n    expected %s\n    got      %s", parts[1], report)
	}
}

// replace makes the replacements. It is false when a name is missing because a step failed before.
func (s *scenario) replace(text string) (string, bool) {
	complete := true
	captured := func(name string) string {
		value, ok := s.captured[name]
		if !ok && !s.hasFailed {
			s.stop("%s was not captured in this section", name)
		}
		complete = complete && ok
		return value
	}
	out := replaceForm.ReplaceAllStringFunc(text, func(found string) string {
		switch {
		case found == "$" || found == "%":
			s.stop("a lone %s", found)
		case found == "$$" || found == "%%":
			return found[:1]
		case found[0] == '$':
			var quoted strings.Builder
			encoder := json.NewEncoder(&quoted)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(captured(found[1:])); err != nil {
				s.stop("%v", err)
			}
			return quoted.String()[1 : quoted.Len()-2] // without the quotes and the line end
		}
		open, comma := strings.IndexByte(found, '('), strings.LastIndexByte(found, ',')
		first, second := found[open+1:comma], found[comma+1:len(found)-1]
		if found[:open] == "%wrap" {
			publicKey := captured(first)
			if !complete {
				return ""
			}
			return s.wrap(publicKey, second)
		}
		count, err := strconv.Atoi(second)
		if err != nil {
			s.stop("%v", err)
		}
		return strings.Repeat(first, count)
	})
	return out, complete
}

// wrap encrypts bytes, given as hex, with RSAES-OAEP-SHA-256 under a SubjectPublicKeyInfo in Base64.
func (s *scenario) wrap(publicKey, bytes string) string {
	plain, err := hex.DecodeString(bytes)
	if err != nil {
		s.stop("%v", err)
	}
	der, err := base64.StdEncoding.DecodeString(publicKey)
	if err != nil {
		s.stop("%v", err)
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		s.stop("%v", err)
	}
	rsaKey, ok := key.(*rsa.PublicKey)
	if !ok {
		s.stop("material is wrapped under an RSA key, not a %T", key)
	}
	wrapped, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, rsaKey, plain, nil)
	if err != nil {
		s.stop("%v", err)
	}
	return base64.StdEncoding.EncodeToString(wrapped)
}

func (s *scenario) step(item, answer string) {
	call := callForm.FindStringSubmatch(item)
	if call == nil {
		s.stop("a step begins with `Action {` or `Action !`")
	}
	s.steps++
	params := call[3]
	if call[2] != "" {
		var complete bool
		if params, complete = s.replace(call[2]); !complete {
			s.fail("not run: a step before it failed")
			return
		}
	} else if !strings.HasPrefix(answer, "error ") {
		s.stop("a raw step expects an error")
	}
	reply, err := s.engine.Call(call[1], json.RawMessage(params))
	var failure *kms.Error
	if err != nil && !errors.As(err, &failure) {
		s.stop("%v", err)
	}
	if strings.HasPrefix(answer, "error ") {
		s.checkError(answer, reply, failure)
	} else {
		s.checkReply(answer, reply, failure)
	}
}

func (s *scenario) checkError(answer string, reply json.RawMessage, failure *kms.Error) {
	expected := errorForm.FindStringSubmatch(answer)
	switch {
	case expected == nil:
		s.stop("a malformed error answer: %s", answer)
	case failure == nil:
		s.fail("expected %s, got %s", answer, reply)
	case string(failure.Code) != expected[1] || strconv.Itoa(failure.HTTPStatus) != expected[2]:
		s.fail("expected %s, got %s %d: %s", answer, failure.Code, failure.HTTPStatus, failure.Message)
	case expected[3] != "" && !strings.Contains(failure.Message, `"`+expected[3]+`"`):
		s.fail("the message should name %q: %s", expected[3], failure.Message)
	case !uuidForm.MatchString(failure.RequestID):
		s.fail("the request id of the error is no UUID: %q", failure.RequestID)
	}
}

func (s *scenario) checkReply(answer string, reply json.RawMessage, failure *kms.Error) {
	// Captures come first and do not depend on replacements, which may depend on them.
	var pattern, expected, actual map[string]any
	if err := json.Unmarshal([]byte(answer), &pattern); err != nil || pattern == nil {
		s.stop("the answer is not a JSON object: %v", err)
	}
	if failure != nil {
		s.fail("expected success, got %s %d: %s", failure.Code, failure.HTTPStatus, failure.Message)
		return
	}
	if err := json.Unmarshal(reply, &actual); err != nil {
		s.fail("the reply is not a JSON object: %s", reply)
		return
	}
	if id, _ := actual["RequestId"].(string); !uuidForm.MatchString(id) {
		s.fail("no RequestId: %s", reply)
		return
	}
	delete(actual, "RequestId")
	s.capture(pattern, actual)
	replaced, complete := s.replace(answer)
	if !complete {
		s.fail("not compared: a step before it failed")
		return
	}
	if err := json.Unmarshal([]byte(replaced), &expected); err != nil {
		s.stop("the answer is not JSON after replacement: %v", err)
	}
	if where := s.difference("", expected, actual); where != "" {
		s.fail("the reply differs at %s\n    expected %s\n    got      %s", where, replaced, reply)
	}
}

// capture remembers what the expected reply wants remembered.
func (s *scenario) capture(expected, actual any) {
	switch expected := expected.(type) {
	case map[string]any:
		if actual, ok := actual.(map[string]any); ok {
			for name, value := range expected {
				s.capture(value, actual[name])
			}
		}
	case []any:
		if actual, ok := actual.([]any); ok {
			for i := 0; i < len(expected) && i < len(actual); i++ {
				s.capture(expected[i], actual[i])
			}
		}
	case string:
		actual, ok := actual.(string)
		if name := captureForm.FindStringSubmatch(expected); ok && name != nil && name[1] != "*" {
			if _, known := s.captured[name[1]]; !known {
				s.captured[name[1]] = actual
			}
		}
	}
}

// difference returns the path of the first difference, "" for none.
func (s *scenario) difference(path string, expected, actual any) string {
	switch expected := expected.(type) {
	case map[string]any:
		actual, ok := actual.(map[string]any)
		if !ok {
			return path + ": no object"
		}
		more := expected["..."] == "..."
		for name, value := range expected {
			if more && name == "..." {
				continue
			}
			other, ok := actual[name]
			if !ok {
				return path + "." + name + ": missing"
			}
			if where := s.difference(path+"."+name, value, other); where != "" {
				return where
			}
		}
		for name := range actual {
			if _, ok := expected[name]; !ok && !more {
				return path + "." + name + ": unexpected"
			}
		}
		return ""
	case []any:
		actual, ok := actual.([]any)
		if !ok || len(actual) != len(expected) {
			return path + ": length"
		}
		for i, value := range expected {
			if where := s.difference(fmt.Sprintf("%s[%d]", path, i), value, actual[i]); where != "" {
				return where
			}
		}
		return ""
	case string:
		actual, ok := actual.(string)
		name := captureForm.FindStringSubmatch(expected)
		if ok && (name != nil && (name[1] == "*" || s.captured[name[1]] == actual) || name == nil && actual == expected) {
			return ""
		}
	default:
		if reflect.DeepEqual(expected, actual) {
			return ""
		}
	}
	return path + ": value"
}
