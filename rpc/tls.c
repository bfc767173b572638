#include "rpc/tls.h"

#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

struct rpc_tls_context {
    SSL_CTX *openssl;
    bool is_server;
};

struct rpc_tls_session {
    SSL *ssl;
    BIO *incoming;
    BIO *outgoing;
    char reason[256];
    char peer_name[128]; /* "": none */
};

static const unsigned char alpn_h2[] = {2, 'h', '2'};

static enum covey_status fail_openssl(struct covey_error *error, const char *what, const char *file)
{
    unsigned long code = ERR_get_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    ERR_clear_error();
    covey_error_set(error, COVEY_EINVAL, "cannot use the %s %s: %s", what, file ? file : "",
                    text ? text : "unreadable");
    if (error)
        error->foreign = (int)ERR_GET_REASON(code);
    return COVEY_EINVAL;
}

static int choose_alpn(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_bytes,
                       const unsigned char *offered, unsigned offered_bytes, void *data)
{
    (void)ssl;
    (void)data;
    unsigned char *found;
    if (SSL_select_next_proto(&found, chosen_bytes, alpn_h2, sizeof alpn_h2, offered,
                              offered_bytes) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

static enum covey_status load_files(SSL_CTX *openssl, const struct rpc_tls *tls, bool is_server,
                                    struct covey_error *error)
{
    if (!tls->certificate_file != !tls->key_file)
        return covey_error_set(error, COVEY_EINVAL,
                               "a certificate and its key go together: give both, or neither");
    if (tls->key_file) {
        enum covey_status status = covey_check_secret_file(tls->key_file, error);
        if (status)
            return status == COVEY_EACCES ? status : COVEY_EINVAL;
    }
    if (tls->certificate_file &&
        SSL_CTX_use_certificate_chain_file(openssl, tls->certificate_file) != 1)
        return fail_openssl(error, "certificate", tls->certificate_file);
    if (tls->key_file && SSL_CTX_use_PrivateKey_file(openssl, tls->key_file, SSL_FILETYPE_PEM) != 1)
        return fail_openssl(error, "key", tls->key_file);
    if (tls->certificate_file && SSL_CTX_check_private_key(openssl) != 1)
        return fail_openssl(error, "key of the certificate", tls->certificate_file);
    if (tls->ca_file && SSL_CTX_load_verify_locations(openssl, tls->ca_file, NULL) != 1)
        return fail_openssl(error, "authority", tls->ca_file);
    if (!tls->ca_file && !is_server && SSL_CTX_set_default_verify_paths(openssl) != 1)
        return fail_openssl(error, "system's authorities", NULL);
    return COVEY_OK;
}

enum covey_status rpc_tls_context_create(const struct rpc_tls *tls, bool is_server,
                                         struct rpc_tls_context **context,
                                         struct covey_error *error)
{
    if (is_server && (!tls->certificate_file || !tls->key_file))
        return covey_error_set(error, COVEY_EINVAL, "TLS needs a certificate and its key");
    struct rpc_tls_context *made = covey_calloc(1, sizeof *made);
    if (!made)
        return COVEY_ENOMEM;
    made->is_server = is_server;
    made->openssl = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (!made->openssl) {
        free(made);
        return COVEY_ENOMEM;
    }
    SSL_CTX_set_min_proto_version(made->openssl, TLS1_2_VERSION);
    SSL_CTX_set_options(made->openssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(made->openssl, SSL_MODE_RELEASE_BUFFERS);
    enum covey_status status = load_files(made->openssl, tls, is_server, error);
    if (status) {
        rpc_tls_context_destroy(made);
        return status;
    }
    if (is_server) {
        SSL_CTX_set_alpn_select_cb(made->openssl, choose_alpn, NULL);
        static const unsigned char sessions[] = "covey"; /* resumed ones are of this server */
        SSL_CTX_set_session_id_context(made->openssl, sessions, sizeof sessions - 1);
        if (tls->ca_file) {
            SSL_CTX_set_client_CA_list(made->openssl, SSL_load_client_CA_file(tls->ca_file));
            SSL_CTX_set_verify(made->openssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                               NULL);
        }
    } else {
        SSL_CTX_set_verify(made->openssl, SSL_VERIFY_PEER, NULL);
    }
    *context = made;
    return COVEY_OK;
}

void rpc_tls_context_destroy(struct rpc_tls_context *context)
{
    if (!context)
        return;
    SSL_CTX_free(context->openssl);
    free(context);
}

/* A name, or an address: certificates hold the two apart. */
static bool expect_name(SSL *ssl, const char *name)
{
    struct in6_addr address;
    if (inet_pton(AF_INET, name, &address) == 1 || inet_pton(AF_INET6, name, &address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
    return SSL_set_tlsext_host_name(ssl, name) == 1 && SSL_set1_host(ssl, name) == 1;
}

struct rpc_tls_session *rpc_tls_session_create(struct rpc_tls_context *context,
                                               const char *server_name)
{
    struct rpc_tls_session *session = covey_calloc(1, sizeof *session);
    if (!session)
        return NULL;
    session->ssl = SSL_new(context->openssl);
    if (!session->ssl)
        goto failed;
    session->incoming = BIO_new(BIO_s_mem());
    session->outgoing = BIO_new(BIO_s_mem());
    if (!session->incoming || !session->outgoing) {
        BIO_free(session->incoming);
        BIO_free(session->outgoing);
        goto failed;
    }
    SSL_set_bio(session->ssl, session->incoming, session->outgoing);
    if (context->is_server) {
        SSL_set_accept_state(session->ssl);
        return session;
    }
    SSL_set_connect_state(session->ssl);
    if (SSL_set_alpn_protos(session->ssl, alpn_h2, sizeof alpn_h2) != 0 ||
        !expect_name(session->ssl, server_name))
        goto failed;
    return session;
failed:
    rpc_tls_session_destroy(session);
    return NULL;
}

void rpc_tls_session_destroy(struct rpc_tls_session *session)
{
    if (!session)
        return;
    SSL_free(session->ssl);
    free(session);
}

/* The last of them is the most specific. One with a NUL in it would be read as another. */
static void note_peer_name(struct rpc_tls_session *session)
{
    X509 *certificate = SSL_get1_peer_certificate(session->ssl);
    X509_NAME *subject = certificate ? X509_get_subject_name(certificate) : NULL;
    unsigned char *name = NULL;
    int length = -1;
    int last = -1;
    for (int at = -1;
         subject && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;)
        last = at;
    if (last >= 0)
        length = ASN1_STRING_to_UTF8(&name,
                                     X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
    if (length > 0 && (size_t)length < sizeof session->peer_name &&
        !memchr(name, 0, (size_t)length))
        memcpy(session->peer_name, name, (size_t)length);
    OPENSSL_free(name);
    X509_free(certificate);
}

const char *rpc_tls_peer_name(const struct rpc_tls_session *session)
{
    return *session->peer_name ? session->peer_name : NULL;
}

static void note_reason(struct rpc_tls_session *session, const char *what)
{
    long verified = SSL_get_verify_result(session->ssl);
    unsigned long code = ERR_peek_error();
    const char *text = code ? ERR_reason_error_string(code) : NULL;
    if (verified != X509_V_OK)
        text = X509_verify_cert_error_string(verified);
    snprintf(session->reason, sizeof session->reason, "%s: %s", what,
             text ? text : "the peer broke it off");
    ERR_clear_error();
}

enum rpc_tls_state rpc_tls_handshake(struct rpc_tls_session *session, const char **reason)
{
    ERR_clear_error();
    int result = SSL_do_handshake(session->ssl);
    if (result != 1) {
        int kind = SSL_get_error(session->ssl, result);
        if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
            return RPC_TLS_WAITING;
        note_reason(session, "the TLS handshake failed");
        *reason = session->reason;
        return RPC_TLS_FAILED;
    }
    const unsigned char *protocol;
    unsigned protocol_bytes;
    SSL_get0_alpn_selected(session->ssl, &protocol, &protocol_bytes);
    if (protocol_bytes == 2 && memcmp(protocol, "h2", 2) == 0) {
        if (SSL_is_server(session->ssl))
            note_peer_name(session);
        return RPC_TLS_OPEN;
    }
    *reason = "the TLS peer does not speak HTTP/2 (ALPN h2)";
    return RPC_TLS_FAILED;
}

enum covey_status rpc_tls_give_records(struct rpc_tls_session *session, const uint8_t *bytes,
                                       size_t length_bytes)
{
    int taken = BIO_write(session->incoming, bytes, (int)length_bytes);
    return taken == (int)length_bytes ? COVEY_OK : COVEY_ENOMEM;
}

enum covey_status rpc_tls_take_records(struct rpc_tls_session *session,
                                       struct covey_buffer *records)
{
    size_t waiting = BIO_ctrl_pending(session->outgoing);
    if (waiting == 0)
        return COVEY_OK;
    enum covey_status status = covey_buffer_reserve(records, waiting);
    if (status)
        return status;
    int taken = BIO_read(session->outgoing, records->data + records->length_bytes, (int)waiting);
    if (taken != (int)waiting)
        return COVEY_EINTERNAL;
    records->length_bytes += waiting;
    return COVEY_OK;
}

bool rpc_tls_read(struct rpc_tls_session *session, uint8_t *bytes, size_t size_bytes,
                  size_t *length_bytes, const char **reason)
{
    ERR_clear_error();
    int result = SSL_read_ex(session->ssl, bytes, size_bytes, length_bytes);
    if (result == 1)
        return true;
    int kind = SSL_get_error(session->ssl, result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE)
        return false;
    if (kind == SSL_ERROR_ZERO_RETURN) {
        *reason = "the peer closed the connection";
        return false;
    }
    note_reason(session, "the TLS stream is broken");
    *reason = session->reason;
    return false;
}

enum covey_status rpc_tls_write(struct rpc_tls_session *session, const uint8_t *bytes,
                                size_t length_bytes)
{
    if (length_bytes == 0)
        return COVEY_OK;
    ERR_clear_error();
    size_t written;
    if (SSL_write_ex(session->ssl, bytes, length_bytes, &written) == 1 && written == length_bytes)
        return COVEY_OK;
    ERR_clear_error();
    return COVEY_EIO;
}

void rpc_tls_shutdown(struct rpc_tls_session *session)
{
    ERR_clear_error();
    (void)SSL_shutdown(session->ssl);
    ERR_clear_error();
}

bool rpc_tls_is_record(const uint8_t *bytes, size_t length_bytes)
{
    return bytes[0] >= SSL3_RT_CHANGE_CIPHER_SPEC && bytes[0] <= SSL3_RT_APPLICATION_DATA &&
           (length_bytes < 2 || bytes[1] == SSL3_VERSION_MAJOR);
}

bool rpc_tls_is_server(const struct rpc_tls_session *session)
{
    return SSL_is_server(session->ssl) != 0;
}
