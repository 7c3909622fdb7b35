package s3target

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
)

// hint says what to do about an error.
func (c *client) hint(e *Error, h http.Header) string {
	region := h.Get("X-Amz-Bucket-Region")
	switch {
	case e.Status/100 == 3 || e.Code == "AuthorizationHeaderMalformed":
		if region != "" {
			return fmt.Sprintf("the bucket is in the region %s, not in %s", region, c.cfg.Region)
		}
		return "the bucket is elsewhere: check endpoint and region"
	case e.Code == "NoSuchBucket":
		return fmt.Sprintf("make the bucket %s first", c.cfg.Bucket)
	case e.Code == "InvalidAccessKeyId" || e.Code == "XAdminUserNotFound" /* of versitygw */ || e.Code == "SignatureDoesNotMatch":
		return "check the credentials"
	case e.Code == "ExpiredToken" || e.Code == "InvalidToken":
		return "the session token is no longer good: crash images live long, give them a key that does not end"
	case e.Code == "RequestTimeTooSkewed":
		return "the clock is wrong, and the store does not tell the time"
	case e.Status == http.StatusForbidden && c.cfg.Presigned != nil:
		return "the presigned URLs are no longer good, or for something else"
	case e.Status == http.StatusForbidden:
		return "the key needs s3:PutObject and s3:AbortMultipartUpload here"
	}
	return ""
}

// permanentError is one that another attempt cannot mend.
type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }
func (permanentError) permanent()      {}

// explain tells an error of TLS, which another attempt cannot mend, from others.
func explain(err error) error {
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verify *tls.CertificateVerificationError
	var plain tls.RecordHeaderError
	switch {
	case errors.As(err, &unknown):
		return permanentError{fmt.Errorf("%w: put the certificate of who signed the store's into the CA bundle", err)}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return permanentError{fmt.Errorf("%w: renew the certificate, or set the clock", err)}
	case errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify):
		return permanentError{err}
	case errors.As(err, &plain):
		return permanentError{fmt.Errorf("%w: is it http:// instead of https:// there?", err)}
	}
	return err
}
