package v1alpha1

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	eventingduckv1 "knative.dev/eventing/pkg/apis/duck/v1"
	"knative.dev/pkg/apis"
	duckv1 "knative.dev/pkg/apis/duck/v1"
)

// In a cluster Kubernetes itself checks channels, by the rules of the CRD in
// config/. These are the same for manifests without a cluster; a test holds the
// two together. Of the certificates alone the CRD knows nothing.

// MaxSubscribers is how many subscribers a channel can have.
const MaxSubscribers = 5000

const (
	maxURL      = 2048
	maxDuration = 64
)

const number = `([0-9]*[.,])?[0-9]+`

var (
	// duration is an ISO-8601 one that is not negative, or almost: a P alone
	// fits as well.
	duration = regexp.MustCompile(strings.ReplaceAll(`^[+]?P(0|(NY)?(NM)?(NW)?(ND)?(T(NH)?(NM)?(NS)?)?)$`, "N", number))
	// relative is a path that can be added to an address.
	relative = regexp.MustCompile(`^([^%:\x00-\x1f\x7f]|%[0-9A-Fa-f][0-9A-Fa-f])*$`)
)

// Validate says what is wrong with the channel.
func (c *LeatChannel) Validate(ctx context.Context) *apis.FieldError {
	return c.Spec.Validate(ctx).ViaField("spec")
}

// Validate says what is wrong with the spec: every subscriber needs somewhere
// to send events to, and delivery options must hold.
func (s *LeatChannelSpec) Validate(context.Context) *apis.FieldError {
	errs := validateDelivery(s.Delivery, ValidateDeadLetterSink)
	if len(s.Subscribers) > MaxSubscribers {
		errs = errs.Also(apis.ErrOutOfBoundsValue(len(s.Subscribers), 0, MaxSubscribers, "subscribers"))
	}
	for i := range s.Subscribers {
		errs = errs.Also(validateSubscriber(&s.Subscribers[i]).ViaFieldIndex("subscribers", i))
	}
	return errs
}

func validateSubscriber(s *eventingduckv1.SubscriberSpec) *apis.FieldError {
	var errs *apis.FieldError
	if s.SubscriberURI.IsEmpty() && s.ReplyURI.IsEmpty() {
		errs = apis.ErrMissingOneOf("replyUri", "subscriberUri")
	}
	return errs.Also(validateAbsolute(s.SubscriberURI, "subscriberUri")).
		Also(validateAbsolute(s.ReplyURI, "replyUri")).
		Also(validateDelivery(s.Delivery, validateResolvedSink))
}

// validateDelivery goes further than upstream's, which needs feature flags for
// some options and panics on a duration that is a lone sign.
func validateDelivery(d *eventingduckv1.DeliverySpec, sink func(*duckv1.Destination) *apis.FieldError) *apis.FieldError {
	if d == nil {
		return nil
	}
	var errs *apis.FieldError
	if d.DeadLetterSink != nil {
		errs = sink(d.DeadLetterSink).ViaField("deadLetterSink")
	}
	if d.Retry != nil && *d.Retry < 0 {
		errs = errs.Also(apis.ErrInvalidValue(*d.Retry, "retry", "must be zero or more"))
	}
	if p := d.BackoffPolicy; p != nil && *p != eventingduckv1.BackoffPolicyLinear && *p != eventingduckv1.BackoffPolicyExponential {
		errs = errs.Also(apis.ErrInvalidValue(*p, "backoffPolicy", "must be linear or exponential"))
	}
	if f := d.Format; f != nil && *f != eventingduckv1.DeliveryFormatBinary && *f != eventingduckv1.DeliveryFormatJson {
		errs = errs.Also(apis.ErrInvalidValue(*f, "format", "must be binary or json"))
	}
	errs = errs.Also(validateDuration(d.BackoffDelay, "backoffDelay", "0123456789", "zero or more, such as PT0.2S")).
		Also(validateDuration(d.RetryAfterMax, "retryAfterMax", "0123456789", "zero or more, such as PT0.2S")).
		Also(validateDuration(d.Timeout, "timeout", "123456789", "more than zero, such as PT30S"))
	return errs.ViaField("delivery")
}

// validateDuration takes an ISO-8601 duration with one of the digits in it.
func validateDuration(value *string, field, digits, what string) *apis.FieldError {
	if value == nil || (len(*value) <= maxDuration && duration.MatchString(*value) && strings.ContainsAny(*value, digits)) {
		return nil
	}
	return apis.ErrInvalidValue(*value, field, "must be an ISO-8601 duration of "+what)
}

// ValidateDeadLetterSink takes what a user writes in spec.delivery: a ref, a URL,
// or a ref and a path.
func ValidateDeadLetterSink(d *duckv1.Destination) *apis.FieldError {
	errs := validateCertificates(d.CACerts)
	switch {
	case d.Ref == nil && d.URI == nil:
		errs = errs.Also(apis.ErrMissingOneOf("ref", "uri"))
	case d.Ref == nil:
		errs = errs.Also(validateResolvedSink(d))
	case d.URI != nil && d.URI.Scheme != "":
		errs = errs.Also(apis.ErrInvalidValue(d.URI, "uri", "must be relative to ref's address, because there is a ref"))
	case d.URI != nil:
		text := d.URI.String()
		path := !strings.HasPrefix(text, "//") && !strings.Contains(text, "#") && !isLong(text)
		if !path || (!strings.HasPrefix(text, "/") && !relative.MatchString(text)) {
			errs = errs.Also(apis.ErrInvalidValue(text, "uri", "must be a URL or a path, without a fragment"))
		}
	}
	if r := d.Ref; r != nil {
		for field, value := range map[string]string{"apiVersion": r.APIVersion, "kind": r.Kind, "name": r.Name} {
			if value == "" {
				errs = errs.Also(apis.ErrMissingField(field).ViaField("ref"))
			}
		}
	}
	return errs
}

// validateResolvedSink takes what Knative's controller writes for a subscriber:
// the URL that the sink was resolved to.
func validateResolvedSink(d *duckv1.Destination) *apis.FieldError {
	if d.URI.IsEmpty() {
		return apis.ErrMissingField("uri")
	}
	return validateAbsolute(d.URI, "uri")
}

func validateAbsolute(u *apis.URL, field string) *apis.FieldError {
	if u.IsEmpty() {
		return nil
	}
	text := u.String()
	if u.Scheme != "" && u.Host != "" && !strings.Contains(text, "#") && !isLong(text) {
		return nil
	}
	return apis.ErrInvalidValue(text, field, "must be an absolute URL without a fragment, such as http://example.com/path")
}

// isLong says whether a URL has more than maxURL characters. apis.URL has
// percent-encoded some of them, and a query may hold a % of its own.
func isLong(text string) bool {
	characters := 0
	for text != "" {
		first := text[0]
		if encoded, err := strconv.ParseUint(text[min(1, len(text)):min(3, len(text))], 16, 8); first == '%' && len(text) > 2 && err == nil {
			first, text = byte(encoded), text[2:]
		}
		if text = text[1:]; utf8.RuneStart(first) {
			characters++
		}
	}
	return characters > maxURL
}

func validateCertificates(text *string) *apis.FieldError {
	if text == nil {
		return nil
	}
	rest, found := []byte(*text), false
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if _, err := x509.ParseCertificate(block.Bytes); block.Type != "CERTIFICATE" || err != nil {
			return apis.ErrGeneric("must be PEM certificates, but has something else or a broken one", "CACerts")
		}
		found = true
	}
	if !found {
		return apis.ErrGeneric("must be PEM certificates", "CACerts")
	}
	return nil
}
