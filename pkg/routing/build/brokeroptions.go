package build

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// channelTemplateKey is in the ConfigMaps that Knative ships for Brokers on
// channels. Leat has no channels below its Brokers.
const channelTemplateKey = "channel-template-spec"

// brokerOption is one key of the ConfigMap that spec.config of a Broker names.
type brokerOption struct {
	annotation string
	check      func(value string) error
}

var brokerOptions = map[string]brokerOption{
	"retention": {RetentionAnnotation, func(value string) error {
		_, err := parseRetention(value)
		return err
	}},
	"max-in-flight": {MaxInFlightAnnotation, func(value string) error {
		_, err := parseMaxInFlight(value)
		return mustBe(err)
	}},
	"delivery-order": {DeliveryOrderAnnotation, func(value string) error {
		_, err := parseChoice(value, unordered, ordered)
		return mustBe(err)
	}},
	"start": {StartAnnotation, func(value string) error {
		_, err := parseChoice(value, latest, earliest)
		return mustBe(err)
	}},
}

func mustBe(err error) error {
	if err != nil {
		err = fmt.Errorf("it %w", err)
	}
	return err
}

// BrokerOptions are the annotations, for a Broker's status, that say the same as
// the data of the ConfigMap which its spec.config names:
//
//	retention       how long settled records are kept: 48h or P2D
//	max-in-flight   for Triggers without the annotation: 1 to 10000
//	delivery-order  for Triggers without the annotation: ordered or unordered
//	start           for Triggers without the annotation: latest or earliest
//
// The template of a channel is ignored, and keys that begin with an underscore
// are for people. An error names every key that is unknown or has a bad value,
// and what is allowed; then none of the options is returned.
func BrokerOptions(data map[string]string) (map[string]string, error) {
	annotations := make(map[string]string)
	var mistakes []string
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if key == channelTemplateKey || strings.HasPrefix(key, "_") {
			continue
		}
		option, known := brokerOptions[key]
		if !known {
			mistakes = append(mistakes, fmt.Sprintf("%s is no option of a Broker, which are %s",
				quote(key), strings.Join(slices.Sorted(maps.Keys(brokerOptions)), ", ")))
			continue
		}
		value := strings.TrimSpace(data[key])
		if err := option.check(value); err != nil {
			mistakes = append(mistakes, fmt.Sprintf("%s is %s: %v", key, quote(value), err))
			continue
		}
		annotations[option.annotation] = value
	}
	if len(mistakes) > 0 {
		return nil, errors.New(strings.Join(mistakes, "; "))
	}
	return annotations, nil
}
