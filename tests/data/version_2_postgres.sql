--
-- PostgreSQL database dump
--


-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: procrastinate_job_event_type; Type: TYPE; Schema: public; Owner: -
--

CREATE TYPE public.procrastinate_job_event_type AS ENUM (
    'deferred',
    'started',
    'deferred_for_retry',
    'failed',
    'succeeded',
    'cancelled',
    'abort_requested',
    'aborted',
    'scheduled',
    'retried'
);


--
-- Name: procrastinate_job_status; Type: TYPE; Schema: public; Owner: -
--

CREATE TYPE public.procrastinate_job_status AS ENUM (
    'todo',
    'doing',
    'succeeded',
    'failed',
    'cancelled',
    'aborting',
    'aborted'
);


--
-- Name: procrastinate_job_to_defer_v1; Type: TYPE; Schema: public; Owner: -
--

CREATE TYPE public.procrastinate_job_to_defer_v1 AS (
	queue_name character varying,
	task_name character varying,
	priority integer,
	lock text,
	queueing_lock text,
	args jsonb,
	scheduled_at timestamp with time zone
);


--
-- Name: procrastinate_cancel_job_v1(bigint, boolean, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_cancel_job_v1(job_id bigint, abort boolean, delete_job boolean) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
BEGIN
    IF delete_job THEN
        DELETE FROM procrastinate_jobs
        WHERE id = job_id AND status = 'todo'
        RETURNING id INTO _job_id;
    END IF;
    IF _job_id IS NULL THEN
        IF abort THEN
            UPDATE procrastinate_jobs
            SET abort_requested = true,
                status = CASE status
                    WHEN 'todo' THEN 'cancelled'::procrastinate_job_status ELSE status
                END
            WHERE id = job_id AND status IN ('todo', 'doing')
            RETURNING id INTO _job_id;
        ELSE
            UPDATE procrastinate_jobs
            SET status = 'cancelled'::procrastinate_job_status
            WHERE id = job_id AND status = 'todo'
            RETURNING id INTO _job_id;
        END IF;
    END IF;
    RETURN _job_id;
END;
$$;


--
-- Name: procrastinate_defer_jobs_v1(public.procrastinate_job_to_defer_v1[]); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_defer_jobs_v1(jobs public.procrastinate_job_to_defer_v1[]) RETURNS bigint[]
    LANGUAGE plpgsql
    AS $$
DECLARE
    job_ids bigint[];
BEGIN
    WITH inserted_jobs AS (
        INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
        SELECT (job).queue_name,
               (job).task_name,
               (job).priority,
               (job).lock,
               (job).queueing_lock,
               (job).args,
               (job).scheduled_at
        FROM unnest(jobs) AS job
        RETURNING id
    )
    SELECT array_agg(id) FROM inserted_jobs INTO job_ids;

    RETURN job_ids;
END;
$$;


--
-- Name: procrastinate_defer_periodic_job_v2(character varying, character varying, character varying, character varying, integer, character varying, bigint, jsonb); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_defer_periodic_job_v2(_queue_name character varying, _lock character varying, _queueing_lock character varying, _task_name character varying, _priority integer, _periodic_id character varying, _defer_timestamp bigint, _args jsonb) RETURNS bigint
    LANGUAGE plpgsql
    AS $$
DECLARE
	_job_id bigint;
	_defer_id bigint;
BEGIN
    INSERT
        INTO procrastinate_periodic_defers (task_name, periodic_id, defer_timestamp)
        VALUES (_task_name, _periodic_id, _defer_timestamp)
        ON CONFLICT DO NOTHING
        RETURNING id into _defer_id;

    IF _defer_id IS NULL THEN
        RETURN NULL;
    END IF;

    UPDATE procrastinate_periodic_defers
        SET job_id = (
            SELECT COALESCE((
                SELECT unnest(procrastinate_defer_jobs_v1(
                    ARRAY[
                        ROW(
                            _queue_name,
                            _task_name,
                            _priority,
                            _lock,
                            _queueing_lock,
                            _args,
                            NULL::timestamptz
                        )
                    ]::procrastinate_job_to_defer_v1[]
                ))
            ), NULL)
        )
        WHERE id = _defer_id
        RETURNING job_id INTO _job_id;

    DELETE
        FROM procrastinate_periodic_defers
        USING (
            SELECT id
            FROM procrastinate_periodic_defers
            WHERE procrastinate_periodic_defers.task_name = _task_name
            AND procrastinate_periodic_defers.periodic_id = _periodic_id
            AND procrastinate_periodic_defers.defer_timestamp < _defer_timestamp
            ORDER BY id
            FOR UPDATE
        ) to_delete
        WHERE procrastinate_periodic_defers.id = to_delete.id;

    RETURN _job_id;
END;
$$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: procrastinate_jobs; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.procrastinate_jobs (
    id bigint NOT NULL,
    queue_name character varying(128) NOT NULL,
    task_name character varying(128) NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    lock text,
    queueing_lock text,
    args jsonb DEFAULT '{}'::jsonb NOT NULL,
    status public.procrastinate_job_status DEFAULT 'todo'::public.procrastinate_job_status NOT NULL,
    scheduled_at timestamp with time zone,
    attempts integer DEFAULT 0 NOT NULL,
    abort_requested boolean DEFAULT false NOT NULL,
    worker_id bigint,
    CONSTRAINT check_not_todo_abort_requested CHECK ((NOT ((status = 'todo'::public.procrastinate_job_status) AND (abort_requested = true))))
);


--
-- Name: procrastinate_fetch_job_v2(character varying[], bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_fetch_job_v2(target_queue_names character varying[], p_worker_id bigint) RETURNS public.procrastinate_jobs
    LANGUAGE plpgsql
    AS $$
DECLARE
	found_jobs procrastinate_jobs;
BEGIN
    WITH candidate AS (
        SELECT jobs.*
            FROM procrastinate_jobs AS jobs
            WHERE
                -- reject the job if its lock has earlier or higher priority jobs
                NOT EXISTS (
                    SELECT 1
                        FROM procrastinate_jobs AS other_jobs
                        WHERE
                            jobs.lock IS NOT NULL
                            AND other_jobs.lock = jobs.lock
                            AND (
                                -- job with same lock is already running
                                other_jobs.status = 'doing'
                                OR
                                -- job with same lock is waiting and has higher priority (or same priority but was queued first)
                                (
                                    other_jobs.status = 'todo'
                                    AND (
                                        other_jobs.priority > jobs.priority
                                        OR (
                                        other_jobs.priority = jobs.priority
                                        AND other_jobs.id < jobs.id
                                        )
                                    )
                                )
                            )
                )
                AND jobs.status = 'todo'
                AND (target_queue_names IS NULL OR jobs.queue_name = ANY( target_queue_names ))
                AND (jobs.scheduled_at IS NULL OR jobs.scheduled_at <= now())
            ORDER BY jobs.priority DESC, jobs.id ASC LIMIT 1
            FOR UPDATE OF jobs SKIP LOCKED
    )
    UPDATE procrastinate_jobs
        SET status = 'doing', worker_id = p_worker_id
        FROM candidate
        WHERE procrastinate_jobs.id = candidate.id
        RETURNING procrastinate_jobs.* INTO found_jobs;

 RETURN found_jobs;
END;
$$;


--
-- Name: procrastinate_finish_job_v1(bigint, public.procrastinate_job_status, boolean); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_finish_job_v1(job_id bigint, end_status public.procrastinate_job_status, delete_job boolean) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
BEGIN
    IF end_status NOT IN ('succeeded', 'failed', 'aborted') THEN
        RAISE 'End status should be either "succeeded", "failed" or "aborted" (job id: %)', job_id;
    END IF;
    IF delete_job THEN
        DELETE FROM procrastinate_jobs
        WHERE id = job_id AND status IN ('todo', 'doing')
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = end_status,
            abort_requested = false,
            attempts = CASE status
                WHEN 'doing' THEN attempts + 1 ELSE attempts
            END
        WHERE id = job_id AND status IN ('todo', 'doing')
        RETURNING id INTO _job_id;
    END IF;
    IF _job_id IS NULL THEN
        RAISE 'Job was not found or not in "doing" or "todo" status (job id: %)', job_id;
    END IF;
END;
$$;


--
-- Name: procrastinate_notify_queue_abort_job_v1(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_notify_queue_abort_job_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    payload TEXT;
BEGIN
    SELECT json_build_object('type', 'abort_job_requested', 'job_id', NEW.id)::text INTO payload;
	PERFORM pg_notify('procrastinate_queue_v1#' || NEW.queue_name, payload);
	PERFORM pg_notify('procrastinate_any_queue_v1', payload);
	RETURN NEW;
END;
$$;


--
-- Name: procrastinate_notify_queue_job_inserted_v1(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_notify_queue_job_inserted_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    payload TEXT;
BEGIN
    SELECT json_build_object('type', 'job_inserted', 'job_id', NEW.id)::text INTO payload;
	PERFORM pg_notify('procrastinate_queue_v1#' || NEW.queue_name, payload);
	PERFORM pg_notify('procrastinate_any_queue_v1', payload);
	RETURN NEW;
END;
$$;


--
-- Name: procrastinate_prune_stalled_workers_v1(double precision); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_prune_stalled_workers_v1(seconds_since_heartbeat double precision) RETURNS TABLE(worker_id bigint)
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN QUERY
    DELETE FROM procrastinate_workers
    WHERE last_heartbeat < NOW() - (seconds_since_heartbeat || 'SECOND')::INTERVAL
    RETURNING procrastinate_workers.id;
END;
$$;


--
-- Name: procrastinate_register_worker_v1(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_register_worker_v1() RETURNS TABLE(worker_id bigint)
    LANGUAGE plpgsql
    AS $$
BEGIN
    RETURN QUERY
    INSERT INTO procrastinate_workers DEFAULT VALUES
    RETURNING procrastinate_workers.id;
END;
$$;


--
-- Name: procrastinate_retry_job_v1(bigint, timestamp with time zone, integer, character varying, character varying); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_retry_job_v1(job_id bigint, retry_at timestamp with time zone, new_priority integer, new_queue_name character varying, new_lock character varying) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
    _abort_requested boolean;
BEGIN
    SELECT abort_requested FROM procrastinate_jobs
    WHERE id = job_id AND status = 'doing'
    FOR UPDATE
    INTO _abort_requested;
    IF _abort_requested THEN
        UPDATE procrastinate_jobs
        SET status = 'failed'::procrastinate_job_status
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = 'todo'::procrastinate_job_status,
            attempts = attempts + 1,
            scheduled_at = retry_at,
            priority = COALESCE(new_priority, priority),
            queue_name = COALESCE(new_queue_name, queue_name),
            lock = COALESCE(new_lock, lock)
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    END IF;

    IF _job_id IS NULL THEN
        RAISE 'Job was not found or not in "doing" status (job id: %)', job_id;
    END IF;
END;
$$;


--
-- Name: procrastinate_retry_job_v2(bigint, timestamp with time zone, integer, character varying, character varying); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_retry_job_v2(job_id bigint, retry_at timestamp with time zone, new_priority integer, new_queue_name character varying, new_lock character varying) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    _job_id bigint;
    _abort_requested boolean;
    _current_status procrastinate_job_status;
BEGIN
    SELECT status, abort_requested FROM procrastinate_jobs
    WHERE id = job_id AND status IN ('doing', 'failed')
    FOR UPDATE
    INTO _current_status, _abort_requested;
    IF _current_status = 'doing' AND _abort_requested THEN
        UPDATE procrastinate_jobs
        SET status = 'failed'::procrastinate_job_status
        WHERE id = job_id AND status = 'doing'
        RETURNING id INTO _job_id;
    ELSE
        UPDATE procrastinate_jobs
        SET status = 'todo'::procrastinate_job_status,
            attempts = attempts + 1,
            scheduled_at = retry_at,
            priority = COALESCE(new_priority, priority),
            queue_name = COALESCE(new_queue_name, queue_name),
            lock = COALESCE(new_lock, lock)
        WHERE id = job_id AND status IN ('doing', 'failed')
        RETURNING id INTO _job_id;
    END IF;

    IF _job_id IS NULL THEN
        RAISE 'Job was not found or has an invalid status to retry (job id: %)', job_id;
    END IF;

END;
$$;


--
-- Name: procrastinate_trigger_abort_requested_events_procedure_v1(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_trigger_abort_requested_events_procedure_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type)
        VALUES (NEW.id, 'abort_requested'::procrastinate_job_event_type);
    RETURN NEW;
END;
$$;


--
-- Name: procrastinate_trigger_function_scheduled_events_v1(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_trigger_function_scheduled_events_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type, at)
        VALUES (NEW.id, 'scheduled'::procrastinate_job_event_type, NEW.scheduled_at);

	RETURN NEW;
END;
$$;


--
-- Name: procrastinate_trigger_function_status_events_insert_v1(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_trigger_function_status_events_insert_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO procrastinate_events(job_id, type)
        VALUES (NEW.id, 'deferred'::procrastinate_job_event_type);
	RETURN NEW;
END;
$$;


--
-- Name: procrastinate_trigger_function_status_events_update_v1(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_trigger_function_status_events_update_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    WITH t AS (
        SELECT CASE
            WHEN OLD.status = 'todo'::procrastinate_job_status
                AND NEW.status = 'doing'::procrastinate_job_status
                THEN 'started'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'todo'::procrastinate_job_status
                THEN 'deferred_for_retry'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'failed'::procrastinate_job_status
                THEN 'failed'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'succeeded'::procrastinate_job_status
                THEN 'succeeded'::procrastinate_job_event_type
            WHEN OLD.status = 'todo'::procrastinate_job_status
                AND (
                    NEW.status = 'cancelled'::procrastinate_job_status
                    OR NEW.status = 'failed'::procrastinate_job_status
                    OR NEW.status = 'succeeded'::procrastinate_job_status
                )
                THEN 'cancelled'::procrastinate_job_event_type
            WHEN OLD.status = 'doing'::procrastinate_job_status
                AND NEW.status = 'aborted'::procrastinate_job_status
                THEN 'aborted'::procrastinate_job_event_type
            WHEN OLD.status = 'failed'::procrastinate_job_status
                AND NEW.status = 'todo'::procrastinate_job_status
                THEN 'retried'::procrastinate_job_event_type
            ELSE NULL
        END as event_type
    )
    INSERT INTO procrastinate_events(job_id, type)
        SELECT NEW.id, t.event_type
        FROM t
        WHERE t.event_type IS NOT NULL;
	RETURN NEW;
END;
$$;


--
-- Name: procrastinate_unlink_periodic_defers_v1(); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_unlink_periodic_defers_v1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE procrastinate_periodic_defers
    SET job_id = NULL
    WHERE job_id = OLD.id;
    RETURN OLD;
END;
$$;


--
-- Name: procrastinate_unregister_worker_v1(bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_unregister_worker_v1(worker_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    DELETE FROM procrastinate_workers
    WHERE id = worker_id;
END;
$$;


--
-- Name: procrastinate_update_heartbeat_v1(bigint); Type: FUNCTION; Schema: public; Owner: -
--

CREATE FUNCTION public.procrastinate_update_heartbeat_v1(worker_id bigint) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE procrastinate_workers
    SET last_heartbeat = NOW()
    WHERE id = worker_id;
END;
$$;


--
-- Name: agent_asgi_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.agent_asgi_events (
    response_id character varying NOT NULL,
    last integer NOT NULL,
    count integer NOT NULL,
    frames bytea NOT NULL
);


--
-- Name: agent_asgi_items; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.agent_asgi_items (
    response_id character varying NOT NULL,
    id character varying NOT NULL,
    owner character varying NOT NULL
);


--
-- Name: agent_asgi_locks; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.agent_asgi_locks (
    owner character varying NOT NULL,
    conversation character varying NOT NULL,
    response_id character varying NOT NULL,
    until double precision NOT NULL
);


--
-- Name: agent_asgi_responses; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.agent_asgi_responses (
    id character varying NOT NULL,
    owner character varying NOT NULL,
    agent character varying NOT NULL,
    status character varying NOT NULL,
    created_at double precision NOT NULL,
    expires_at double precision NOT NULL,
    previous_id character varying,
    background boolean NOT NULL,
    visible boolean NOT NULL,
    request bytea NOT NULL,
    response bytea NOT NULL,
    caller bytea NOT NULL,
    key character varying,
    digest character varying,
    failure bytea,
    attempt integer NOT NULL,
    logged boolean NOT NULL,
    cancel_wanted boolean NOT NULL,
    holder character varying NOT NULL,
    lease_until double precision NOT NULL
);


--
-- Name: agent_asgi_schema; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.agent_asgi_schema (
    version integer NOT NULL
);


--
-- Name: agent_asgi_schema_version_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.agent_asgi_schema_version_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: agent_asgi_schema_version_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.agent_asgi_schema_version_seq OWNED BY public.agent_asgi_schema.version;


--
-- Name: procrastinate_events; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.procrastinate_events (
    id bigint NOT NULL,
    job_id bigint NOT NULL,
    type public.procrastinate_job_event_type,
    at timestamp with time zone DEFAULT now()
);


--
-- Name: procrastinate_events_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.procrastinate_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: procrastinate_events_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.procrastinate_events_id_seq OWNED BY public.procrastinate_events.id;


--
-- Name: procrastinate_jobs_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.procrastinate_jobs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: procrastinate_jobs_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.procrastinate_jobs_id_seq OWNED BY public.procrastinate_jobs.id;


--
-- Name: procrastinate_periodic_defers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.procrastinate_periodic_defers (
    id bigint NOT NULL,
    task_name character varying(128) NOT NULL,
    defer_timestamp bigint,
    job_id bigint,
    periodic_id character varying(128) DEFAULT ''::character varying NOT NULL
);


--
-- Name: procrastinate_periodic_defers_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

CREATE SEQUENCE public.procrastinate_periodic_defers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


--
-- Name: procrastinate_periodic_defers_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: -
--

ALTER SEQUENCE public.procrastinate_periodic_defers_id_seq OWNED BY public.procrastinate_periodic_defers.id;


--
-- Name: procrastinate_workers; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.procrastinate_workers (
    id bigint NOT NULL,
    last_heartbeat timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: procrastinate_workers_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.procrastinate_workers ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.procrastinate_workers_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: agent_asgi_schema version; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.agent_asgi_schema ALTER COLUMN version SET DEFAULT nextval('public.agent_asgi_schema_version_seq'::regclass);


--
-- Name: procrastinate_events id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_events ALTER COLUMN id SET DEFAULT nextval('public.procrastinate_events_id_seq'::regclass);


--
-- Name: procrastinate_jobs id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_jobs ALTER COLUMN id SET DEFAULT nextval('public.procrastinate_jobs_id_seq'::regclass);


--
-- Name: procrastinate_periodic_defers id; Type: DEFAULT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_periodic_defers ALTER COLUMN id SET DEFAULT nextval('public.procrastinate_periodic_defers_id_seq'::regclass);


--
-- Data for Name: agent_asgi_events; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.agent_asgi_events VALUES ('resp_5c9d1b7a1402c20b3db9e3524fa53897', 1, 2, '{"type":"response.created","sequence_number":0,"response":{"id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","object":"response","created_at":1795930784,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.queued","sequence_number":1,"response":{"id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","object":"response","created_at":1795930784,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_5c9d1b7a1402c20b3db9e3524fa53897', 17, 16, '{"type":"response.in_progress","sequence_number":2,"response":{"id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","object":"response","created_at":1795930784,"completed_at":null,"status":"in_progress","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"message","role":"assistant","id":"msg_3288b83c988a6ca6c6b96b9a8955166c","status":"in_progress","content":[]}}\012{"type":"response.content_part.added","sequence_number":4,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}\012{"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"delta":"Line ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":6,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"delta":"ends: ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":7,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"delta":"\\n\\n ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":8,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"delta":"\\r\\n ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":9,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"delta":"\\u0085 ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":10,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"delta":"\\u2028 ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":11,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"delta":"end.\\n\\nevent: ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":12,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"delta":"response.completed\\ndata: ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":13,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"delta":"{\\"type\\":\\"x\\"}\\n\\n ","logprobs":[]}\012{"type":"response.output_text.done","sequence_number":14,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"text":"Line ends: \\n\\n \\r\\n \\u0085 \\u2028 end.\\n\\nevent: response.completed\\ndata: {\\"type\\":\\"x\\"}\\n\\n ","logprobs":[]}\012{"type":"response.content_part.done","sequence_number":15,"item_id":"msg_3288b83c988a6ca6c6b96b9a8955166c","output_index":0,"content_index":0,"part":{"type":"output_text","text":"Line ends: \\n\\n \\r\\n \\u0085 \\u2028 end.\\n\\nevent: response.completed\\ndata: {\\"type\\":\\"x\\"}\\n\\n ","annotations":[],"logprobs":[]}}\012{"type":"response.output_item.done","sequence_number":16,"output_index":0,"item":{"type":"message","role":"assistant","id":"msg_3288b83c988a6ca6c6b96b9a8955166c","status":"completed","content":[{"type":"output_text","text":"Line ends: \\n\\n \\r\\n \\u0085 \\u2028 end.\\n\\nevent: response.completed\\ndata: {\\"type\\":\\"x\\"}\\n\\n ","annotations":[],"logprobs":[]}]}}\012{"type":"response.completed","sequence_number":17,"response":{"id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","object":"response","created_at":1795930784,"completed_at":1795930789,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_3288b83c988a6ca6c6b96b9a8955166c","status":"completed","content":[{"type":"output_text","text":"Line ends: \\n\\n \\r\\n \\u0085 \\u2028 end.\\n\\nevent: response.completed\\ndata: {\\"type\\":\\"x\\"}\\n\\n ","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_a31860dc3c8f52c2ae56418cc8ebe356', 1, 2, '{"type":"response.created","sequence_number":0,"response":{"id":"resp_a31860dc3c8f52c2ae56418cc8ebe356","object":"response","created_at":1795930789,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.queued","sequence_number":1,"response":{"id":"resp_a31860dc3c8f52c2ae56418cc8ebe356","object":"response","created_at":1795930789,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_a31860dc3c8f52c2ae56418cc8ebe356', 19, 18, '{"type":"response.in_progress","sequence_number":2,"response":{"id":"resp_a31860dc3c8f52c2ae56418cc8ebe356","object":"response","created_at":1795930789,"completed_at":null,"status":"in_progress","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"function_call","call_id":"c1","name":"add","arguments":"","id":"fc_64f69c73213c51ed502bd534f3fc6713","status":"in_progress"}}\012{"type":"response.function_call_arguments.delta","sequence_number":4,"item_id":"fc_64f69c73213c51ed502bd534f3fc6713","output_index":0,"delta":"{\\"a\\": 1}"}\012{"type":"response.function_call_arguments.done","sequence_number":5,"item_id":"fc_64f69c73213c51ed502bd534f3fc6713","output_index":0,"arguments":"{\\"a\\": 1}"}\012{"type":"response.output_item.done","sequence_number":6,"output_index":0,"item":{"type":"function_call","call_id":"c1","name":"add","arguments":"{\\"a\\": 1}","id":"fc_64f69c73213c51ed502bd534f3fc6713","status":"completed"}}\012{"type":"response.output_item.added","sequence_number":7,"output_index":1,"item":{"type":"function_call_output","call_id":"c1","output":"2","id":"fco_5874258332a24d6344385d3a357c9cb6","status":"in_progress"}}\012{"type":"response.output_item.done","sequence_number":8,"output_index":1,"item":{"type":"function_call_output","call_id":"c1","output":"2","id":"fco_5874258332a24d6344385d3a357c9cb6","status":"completed"}}\012{"type":"response.output_item.added","sequence_number":9,"output_index":2,"item":{"type":"acme:item","id":"t1","status":"in_progress"}}\012{"type":"response.output_item.done","sequence_number":10,"output_index":2,"item":{"type":"acme:item","id":"t1","status":"completed"}}\012{"type":"response.acme.delta","x":1,"sequence_number":11}\012{"type":"response.\\"acme\\"","n":[1,null],"text":"Line ends: \\n\\n \\r\\n \\u0085 \\u2028 end.\\n\\nevent: response.completed\\ndata: {\\"type\\":\\"x\\"}\\n\\n","sequence_number":12}\012{"type":"response.output_item.added","sequence_number":13,"output_index":3,"item":{"type":"message","role":"assistant","id":"msg_450b7dad68d4b95d552427edbb16ad50","status":"in_progress","content":[]}}\012{"type":"response.content_part.added","sequence_number":14,"item_id":"msg_450b7dad68d4b95d552427edbb16ad50","output_index":3,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}\012{"type":"response.output_text.delta","sequence_number":15,"item_id":"msg_450b7dad68d4b95d552427edbb16ad50","output_index":3,"content_index":0,"delta":"It is 2.","logprobs":[]}\012{"type":"response.output_text.done","sequence_number":16,"item_id":"msg_450b7dad68d4b95d552427edbb16ad50","output_index":3,"content_index":0,"text":"It is 2.","logprobs":[]}\012{"type":"response.content_part.done","sequence_number":17,"item_id":"msg_450b7dad68d4b95d552427edbb16ad50","output_index":3,"content_index":0,"part":{"type":"output_text","text":"It is 2.","annotations":[],"logprobs":[]}}\012{"type":"response.output_item.done","sequence_number":18,"output_index":3,"item":{"type":"message","role":"assistant","id":"msg_450b7dad68d4b95d552427edbb16ad50","status":"completed","content":[{"type":"output_text","text":"It is 2.","annotations":[],"logprobs":[]}]}}\012{"type":"response.completed","sequence_number":19,"response":{"id":"resp_a31860dc3c8f52c2ae56418cc8ebe356","object":"response","created_at":1795930789,"completed_at":1795930790,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"function_call","call_id":"c1","name":"add","arguments":"{\\"a\\": 1}","id":"fc_64f69c73213c51ed502bd534f3fc6713","status":"completed"},{"type":"function_call_output","call_id":"c1","output":"2","id":"fco_5874258332a24d6344385d3a357c9cb6","status":"completed"},{"type":"acme:item","id":"t1","status":"completed"},{"type":"message","role":"assistant","id":"msg_450b7dad68d4b95d552427edbb16ad50","status":"completed","content":[{"type":"output_text","text":"It is 2.","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_dd4affdf3a3af34065811470c122baec', 1, 2, '{"type":"response.created","sequence_number":0,"response":{"id":"resp_dd4affdf3a3af34065811470c122baec","object":"response","created_at":1795930790,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.queued","sequence_number":1,"response":{"id":"resp_dd4affdf3a3af34065811470c122baec","object":"response","created_at":1795930790,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_d5aa9043abbedec99c3b6eb4c7121b00', 9, 8, '{"type":"response.in_progress","sequence_number":2,"response":{"id":"resp_d5aa9043abbedec99c3b6eb4c7121b00","object":"response","created_at":1795930790,"completed_at":null,"status":"in_progress","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"message","role":"assistant","id":"msg_3d64cc3eaf37dc6ae4e46b1a2a09d5a8","status":"in_progress","content":[]}}\012{"type":"response.content_part.added","sequence_number":4,"item_id":"msg_3d64cc3eaf37dc6ae4e46b1a2a09d5a8","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}\012{"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_3d64cc3eaf37dc6ae4e46b1a2a09d5a8","output_index":0,"content_index":0,"delta":"You said 4 things.","logprobs":[]}\012{"type":"response.output_text.done","sequence_number":6,"item_id":"msg_3d64cc3eaf37dc6ae4e46b1a2a09d5a8","output_index":0,"content_index":0,"text":"You said 4 things.","logprobs":[]}\012{"type":"response.content_part.done","sequence_number":7,"item_id":"msg_3d64cc3eaf37dc6ae4e46b1a2a09d5a8","output_index":0,"content_index":0,"part":{"type":"output_text","text":"You said 4 things.","annotations":[],"logprobs":[]}}\012{"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":{"type":"message","role":"assistant","id":"msg_3d64cc3eaf37dc6ae4e46b1a2a09d5a8","status":"completed","content":[{"type":"output_text","text":"You said 4 things.","annotations":[],"logprobs":[]}]}}\012{"type":"response.completed","sequence_number":9,"response":{"id":"resp_d5aa9043abbedec99c3b6eb4c7121b00","object":"response","created_at":1795930790,"completed_at":1795930791,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_3d64cc3eaf37dc6ae4e46b1a2a09d5a8","status":"completed","content":[{"type":"output_text","text":"You said 4 things.","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_dd4affdf3a3af34065811470c122baec', 7, 6, '{"type":"response.in_progress","sequence_number":2,"response":{"id":"resp_dd4affdf3a3af34065811470c122baec","object":"response","created_at":1795930790,"completed_at":null,"status":"in_progress","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"message","role":"assistant","id":"msg_fdf71eaef4c86359e97313385adac609","status":"in_progress","content":[]}}\012{"type":"response.content_part.added","sequence_number":4,"item_id":"msg_fdf71eaef4c86359e97313385adac609","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}\012{"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_fdf71eaef4c86359e97313385adac609","output_index":0,"content_index":0,"delta":"half a ","logprobs":[]}\012{"type":"error","sequence_number":6,"code":"agent_error","message":"The agent failed. The server''s log has the reason.","param":null,"error":{"type":"model_error","code":"agent_error","message":"The agent failed. The server''s log has the reason.","param":null}}\012{"type":"response.failed","sequence_number":7,"response":{"id":"resp_dd4affdf3a3af34065811470c122baec","object":"response","created_at":1795930790,"completed_at":null,"status":"failed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_fdf71eaef4c86359e97313385adac609","status":"in_progress","content":[{"type":"output_text","text":"half a ","annotations":[],"logprobs":[]}]}],"error":{"code":"agent_error","message":"The agent failed. The server''s log has the reason."},"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_1282ff61a53e0b4f808164a1b82da5e9', 1, 2, '{"type":"response.created","sequence_number":0,"response":{"id":"resp_1282ff61a53e0b4f808164a1b82da5e9","object":"response","created_at":1795930790,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.queued","sequence_number":1,"response":{"id":"resp_1282ff61a53e0b4f808164a1b82da5e9","object":"response","created_at":1795930790,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_1282ff61a53e0b4f808164a1b82da5e9', 10, 9, '{"type":"response.in_progress","sequence_number":2,"response":{"id":"resp_1282ff61a53e0b4f808164a1b82da5e9","object":"response","created_at":1795930790,"completed_at":null,"status":"in_progress","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"function_call","call_id":"c2","name":"add","arguments":"","id":"fc_3a5a6eee063e1ca1b68fe6432822a9b5","status":"in_progress"}}\012{"type":"response.function_call_arguments.delta","sequence_number":4,"item_id":"fc_3a5a6eee063e1ca1b68fe6432822a9b5","output_index":0,"delta":"{}"}\012{"type":"response.function_call_arguments.done","sequence_number":5,"item_id":"fc_3a5a6eee063e1ca1b68fe6432822a9b5","output_index":0,"arguments":"{}"}\012{"type":"response.output_item.done","sequence_number":6,"output_index":0,"item":{"type":"function_call","call_id":"c2","name":"add","arguments":"{}","id":"fc_3a5a6eee063e1ca1b68fe6432822a9b5","status":"completed"}}\012{"type":"response.output_item.added","sequence_number":7,"output_index":1,"item":{"type":"message","role":"assistant","id":"msg_a22e8f360ad65c2aaadb2874a64dd6d5","status":"in_progress","content":[]}}\012{"type":"response.content_part.added","sequence_number":8,"item_id":"msg_a22e8f360ad65c2aaadb2874a64dd6d5","output_index":1,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}\012{"type":"response.output_text.delta","sequence_number":9,"item_id":"msg_a22e8f360ad65c2aaadb2874a64dd6d5","output_index":1,"content_index":0,"delta":"half a ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":10,"item_id":"msg_a22e8f360ad65c2aaadb2874a64dd6d5","output_index":1,"content_index":0,"delta":"sentence","logprobs":[]}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_1282ff61a53e0b4f808164a1b82da5e9', 11, 1, '{"type":"response.incomplete","sequence_number":11,"response":{"id":"resp_1282ff61a53e0b4f808164a1b82da5e9","object":"response","created_at":1795930790,"completed_at":null,"status":"cancelled","incomplete_details":{"reason":"client_cancelled"},"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"function_call","call_id":"c2","name":"add","arguments":"{}","id":"fc_3a5a6eee063e1ca1b68fe6432822a9b5","status":"completed"},{"type":"message","role":"assistant","id":"msg_a22e8f360ad65c2aaadb2874a64dd6d5","status":"in_progress","content":[{"type":"output_text","text":"half a sentence","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_52958c8c06414b23537d016c11819cac', 1, 2, '{"type":"response.created","sequence_number":0,"response":{"id":"resp_52958c8c06414b23537d016c11819cac","object":"response","created_at":1795930790,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{"a":"b"},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.queued","sequence_number":1,"response":{"id":"resp_52958c8c06414b23537d016c11819cac","object":"response","created_at":1795930790,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{"a":"b"},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_52958c8c06414b23537d016c11819cac', 9, 8, '{"type":"response.in_progress","sequence_number":2,"response":{"id":"resp_52958c8c06414b23537d016c11819cac","object":"response","created_at":1795930790,"completed_at":null,"status":"in_progress","incomplete_details":null,"model":"keeper","previous_response_id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{"a":"b"},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"message","role":"assistant","id":"msg_430d2be863be47020d0665e3ff6a2ae2","status":"in_progress","content":[]}}\012{"type":"response.content_part.added","sequence_number":4,"item_id":"msg_430d2be863be47020d0665e3ff6a2ae2","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}\012{"type":"response.output_text.delta","sequence_number":5,"item_id":"msg_430d2be863be47020d0665e3ff6a2ae2","output_index":0,"content_index":0,"delta":"You said 2 things.","logprobs":[]}\012{"type":"response.output_text.done","sequence_number":6,"item_id":"msg_430d2be863be47020d0665e3ff6a2ae2","output_index":0,"content_index":0,"text":"You said 2 things.","logprobs":[]}\012{"type":"response.content_part.done","sequence_number":7,"item_id":"msg_430d2be863be47020d0665e3ff6a2ae2","output_index":0,"content_index":0,"part":{"type":"output_text","text":"You said 2 things.","annotations":[],"logprobs":[]}}\012{"type":"response.output_item.done","sequence_number":8,"output_index":0,"item":{"type":"message","role":"assistant","id":"msg_430d2be863be47020d0665e3ff6a2ae2","status":"completed","content":[{"type":"output_text","text":"You said 2 things.","annotations":[],"logprobs":[]}]}}\012{"type":"response.completed","sequence_number":9,"response":{"id":"resp_52958c8c06414b23537d016c11819cac","object":"response","created_at":1795930790,"completed_at":1795930790,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_430d2be863be47020d0665e3ff6a2ae2","status":"completed","content":[{"type":"output_text","text":"You said 2 things.","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{"a":"b"},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_d3e562d50f0d320f73334a8b945fa31e', 1, 2, '{"type":"response.created","sequence_number":0,"response":{"id":"resp_d3e562d50f0d320f73334a8b945fa31e","object":"response","created_at":1795930790,"completed_at":null,"status":"in_progress","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":false,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.in_progress","sequence_number":1,"response":{"id":"resp_d3e562d50f0d320f73334a8b945fa31e","object":"response","created_at":1795930790,"completed_at":null,"status":"in_progress","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":false,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_d3e562d50f0d320f73334a8b945fa31e', 8, 7, '{"type":"response.output_item.added","sequence_number":2,"output_index":0,"item":{"type":"message","role":"assistant","id":"msg_0415a3a06927a035ba9fddcb38ce235c","status":"in_progress","content":[]}}\012{"type":"response.content_part.added","sequence_number":3,"item_id":"msg_0415a3a06927a035ba9fddcb38ce235c","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}\012{"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_0415a3a06927a035ba9fddcb38ce235c","output_index":0,"content_index":0,"delta":"You said 6 things.","logprobs":[]}\012{"type":"response.output_text.done","sequence_number":5,"item_id":"msg_0415a3a06927a035ba9fddcb38ce235c","output_index":0,"content_index":0,"text":"You said 6 things.","logprobs":[]}\012{"type":"response.content_part.done","sequence_number":6,"item_id":"msg_0415a3a06927a035ba9fddcb38ce235c","output_index":0,"content_index":0,"part":{"type":"output_text","text":"You said 6 things.","annotations":[],"logprobs":[]}}\012{"type":"response.output_item.done","sequence_number":7,"output_index":0,"item":{"type":"message","role":"assistant","id":"msg_0415a3a06927a035ba9fddcb38ce235c","status":"completed","content":[{"type":"output_text","text":"You said 6 things.","annotations":[],"logprobs":[]}]}}\012{"type":"response.completed","sequence_number":8,"response":{"id":"resp_d3e562d50f0d320f73334a8b945fa31e","object":"response","created_at":1795930790,"completed_at":1795930790,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_0415a3a06927a035ba9fddcb38ce235c","status":"completed","content":[{"type":"output_text","text":"You said 6 things.","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":false,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_d5aa9043abbedec99c3b6eb4c7121b00', 1, 2, '{"type":"response.created","sequence_number":0,"response":{"id":"resp_d5aa9043abbedec99c3b6eb4c7121b00","object":"response","created_at":1795930790,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.queued","sequence_number":1,"response":{"id":"resp_d5aa9043abbedec99c3b6eb4c7121b00","object":"response","created_at":1795930790,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_9ab5fd94f18921b7946904cb228d2e2b', 1, 2, '{"type":"response.created","sequence_number":0,"response":{"id":"resp_9ab5fd94f18921b7946904cb228d2e2b","object":"response","created_at":1795930794,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.queued","sequence_number":1,"response":{"id":"resp_9ab5fd94f18921b7946904cb228d2e2b","object":"response","created_at":1795930794,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_9ab5fd94f18921b7946904cb228d2e2b', 10, 9, '{"type":"response.in_progress","sequence_number":2,"response":{"id":"resp_9ab5fd94f18921b7946904cb228d2e2b","object":"response","created_at":1795930794,"completed_at":null,"status":"in_progress","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"function_call","call_id":"c2","name":"add","arguments":"","id":"fc_012cbfc1198be4faa864329ba725433d","status":"in_progress"}}\012{"type":"response.function_call_arguments.delta","sequence_number":4,"item_id":"fc_012cbfc1198be4faa864329ba725433d","output_index":0,"delta":"{}"}\012{"type":"response.function_call_arguments.done","sequence_number":5,"item_id":"fc_012cbfc1198be4faa864329ba725433d","output_index":0,"arguments":"{}"}\012{"type":"response.output_item.done","sequence_number":6,"output_index":0,"item":{"type":"function_call","call_id":"c2","name":"add","arguments":"{}","id":"fc_012cbfc1198be4faa864329ba725433d","status":"completed"}}\012{"type":"response.output_item.added","sequence_number":7,"output_index":1,"item":{"type":"message","role":"assistant","id":"msg_7dd31b29aa468586ea9e6bea30475b2b","status":"in_progress","content":[]}}\012{"type":"response.content_part.added","sequence_number":8,"item_id":"msg_7dd31b29aa468586ea9e6bea30475b2b","output_index":1,"content_index":0,"part":{"type":"output_text","text":"","annotations":[],"logprobs":[]}}\012{"type":"response.output_text.delta","sequence_number":9,"item_id":"msg_7dd31b29aa468586ea9e6bea30475b2b","output_index":1,"content_index":0,"delta":"half a ","logprobs":[]}\012{"type":"response.output_text.delta","sequence_number":10,"item_id":"msg_7dd31b29aa468586ea9e6bea30475b2b","output_index":1,"content_index":0,"delta":"sentence","logprobs":[]}\012');
INSERT INTO public.agent_asgi_events VALUES ('resp_e2913bbd9bc2a46e6c1816606b9fe4d5', 1, 2, '{"type":"response.created","sequence_number":0,"response":{"id":"resp_e2913bbd9bc2a46e6c1816606b9fe4d5","object":"response","created_at":1795930795,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012{"type":"response.queued","sequence_number":1,"response":{"id":"resp_e2913bbd9bc2a46e6c1816606b9fe4d5","object":"response","created_at":1795930795,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}}\012');


--
-- Data for Name: agent_asgi_items; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.agent_asgi_items VALUES ('resp_5c9d1b7a1402c20b3db9e3524fa53897', 'msg_5c9d1b7a1402c20b3db9e3524fa53897_0', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_5c9d1b7a1402c20b3db9e3524fa53897', 'msg_3288b83c988a6ca6c6b96b9a8955166c', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_a31860dc3c8f52c2ae56418cc8ebe356', 'msg_a31860dc3c8f52c2ae56418cc8ebe356_0', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_a31860dc3c8f52c2ae56418cc8ebe356', 'fc_64f69c73213c51ed502bd534f3fc6713', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_a31860dc3c8f52c2ae56418cc8ebe356', 'fco_5874258332a24d6344385d3a357c9cb6', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_a31860dc3c8f52c2ae56418cc8ebe356', 't1', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_a31860dc3c8f52c2ae56418cc8ebe356', 'msg_450b7dad68d4b95d552427edbb16ad50', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_dd4affdf3a3af34065811470c122baec', 'msg_dd4affdf3a3af34065811470c122baec_0', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_dd4affdf3a3af34065811470c122baec', 'msg_fdf71eaef4c86359e97313385adac609', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_1282ff61a53e0b4f808164a1b82da5e9', 'msg_1282ff61a53e0b4f808164a1b82da5e9_0', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_1282ff61a53e0b4f808164a1b82da5e9', 'fc_3a5a6eee063e1ca1b68fe6432822a9b5', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_1282ff61a53e0b4f808164a1b82da5e9', 'msg_a22e8f360ad65c2aaadb2874a64dd6d5', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_52958c8c06414b23537d016c11819cac', 'msg_52958c8c06414b23537d016c11819cac_0', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_52958c8c06414b23537d016c11819cac', 'msg_52958c8c06414b23537d016c11819cac_1', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_52958c8c06414b23537d016c11819cac', 'msg_430d2be863be47020d0665e3ff6a2ae2', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_d3e562d50f0d320f73334a8b945fa31e', 'msg_d3e562d50f0d320f73334a8b945fa31e_0', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_d3e562d50f0d320f73334a8b945fa31e', 'msg_0415a3a06927a035ba9fddcb38ce235c', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_d5aa9043abbedec99c3b6eb4c7121b00', 'msg_d5aa9043abbedec99c3b6eb4c7121b00_0', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_d5aa9043abbedec99c3b6eb4c7121b00', 'msg_3d64cc3eaf37dc6ae4e46b1a2a09d5a8', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_3eae09fb4f7b1451180a191c5f0062a4', 'msg_3eae09fb4f7b1451180a191c5f0062a4_0', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_3eae09fb4f7b1451180a191c5f0062a4', 'msg_e39a8d449b3f66ee7bae00fcab435179', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_9ab5fd94f18921b7946904cb228d2e2b', 'msg_9ab5fd94f18921b7946904cb228d2e2b_0', '');
INSERT INTO public.agent_asgi_items VALUES ('resp_e2913bbd9bc2a46e6c1816606b9fe4d5', 'msg_e2913bbd9bc2a46e6c1816606b9fe4d5_0', '');


--
-- Data for Name: agent_asgi_locks; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.agent_asgi_locks VALUES ('', 'talk-2', 'resp_9ab5fd94f18921b7946904cb228d2e2b', 1);


--
-- Data for Name: agent_asgi_responses; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.agent_asgi_responses VALUES ('resp_5c9d1b7a1402c20b3db9e3524fa53897', '', 'keeper', 'completed', 1795930784.744101, 4949530784.74533, NULL, true, true, '{"input": "text", "background": true}', '{"id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","object":"response","created_at":1795930784,"completed_at":1795930789,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_3288b83c988a6ca6c6b96b9a8955166c","status":"completed","content":[{"type":"output_text","text":"Line ends: \\n\\n \\r\\n \302\205 \342\200\250 end.\\n\\nevent: response.completed\\ndata: {\\"type\\":\\"x\\"}\\n\\n ","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}', '{"request_id":"req_c10cd6162351d0cd4b121b0bc4b4895e"}', NULL, NULL, NULL, 1, true, false, '', 1);
INSERT INTO public.agent_asgi_responses VALUES ('resp_a31860dc3c8f52c2ae56418cc8ebe356', '', 'keeper', 'completed', 1795930789.9905806, 4949530789.990847, NULL, true, true, '{"input": "tool", "background": true}', '{"id":"resp_a31860dc3c8f52c2ae56418cc8ebe356","object":"response","created_at":1795930789,"completed_at":1795930790,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"function_call","call_id":"c1","name":"add","arguments":"{\\"a\\": 1}","id":"fc_64f69c73213c51ed502bd534f3fc6713","status":"completed"},{"type":"function_call_output","call_id":"c1","output":"2","id":"fco_5874258332a24d6344385d3a357c9cb6","status":"completed"},{"type":"acme:item","id":"t1","status":"completed"},{"type":"message","role":"assistant","id":"msg_450b7dad68d4b95d552427edbb16ad50","status":"completed","content":[{"type":"output_text","text":"It is 2.","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}', '{"request_id":"req_53323fa0b1d89002112149cc1fd538ca"}', NULL, NULL, NULL, 1, true, false, '', 1);
INSERT INTO public.agent_asgi_responses VALUES ('resp_52958c8c06414b23537d016c11819cac', '', 'keeper', 'completed', 1795930790.7036846, 4949530790.704122, 'resp_5c9d1b7a1402c20b3db9e3524fa53897', true, true, '{"previous_response_id": "resp_5c9d1b7a1402c20b3db9e3524fa53897", "input": [{"type": "message", "role": "user", "content": "hello"}, {"type": "message", "role": "user", "content": "hello"}], "background": true, "metadata": {"a": "b"}}', '{"id":"resp_52958c8c06414b23537d016c11819cac","object":"response","created_at":1795930790,"completed_at":1795930790,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":"resp_5c9d1b7a1402c20b3db9e3524fa53897","instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_430d2be863be47020d0665e3ff6a2ae2","status":"completed","content":[{"type":"output_text","text":"You said 2 things.","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{"a":"b"},"safety_identifier":null,"prompt_cache_key":null}', '{"request_id":"req_1633873f4bb752a74779e352ec914cde"}', NULL, NULL, NULL, 1, true, false, '', 1);
INSERT INTO public.agent_asgi_responses VALUES ('resp_3eae09fb4f7b1451180a191c5f0062a4', '', 'keeper', 'completed', 1795930791.0350618, 4949530791.036199, NULL, false, true, '{"input": "foreground"}', '{"id":"resp_3eae09fb4f7b1451180a191c5f0062a4","object":"response","created_at":1795930791,"completed_at":1795930791,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_e39a8d449b3f66ee7bae00fcab435179","status":"completed","content":[{"type":"output_text","text":"You said 10 things.","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":false,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}', '{}', NULL, NULL, NULL, 0, false, false, '', 1);
INSERT INTO public.agent_asgi_responses VALUES ('resp_d3e562d50f0d320f73334a8b945fa31e', '', 'keeper', 'completed', 1795930790.8282795, 4949530790.828535, NULL, false, true, '{"input": "by key"}', '{"id":"resp_d3e562d50f0d320f73334a8b945fa31e","object":"response","created_at":1795930790,"completed_at":1795930790,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_0415a3a06927a035ba9fddcb38ce235c","status":"completed","content":[{"type":"output_text","text":"You said 6 things.","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":false,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}', '{"request_id":"req_557d41b2546cc7cce9faa36b31443bfd"}', 'key-1', 'keeper:9dba5a554369e94963ff23e5e2d9e20737c7e590b9a1429d166b752e580ae9ca', NULL, 1, true, false, '', 1);
INSERT INTO public.agent_asgi_responses VALUES ('resp_dd4affdf3a3af34065811470c122baec', '', 'keeper', 'failed', 1795930790.0622942, 4949530790.062585, NULL, true, true, '{"input": "fail", "background": true}', '{"id":"resp_dd4affdf3a3af34065811470c122baec","object":"response","created_at":1795930790,"completed_at":null,"status":"failed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_fdf71eaef4c86359e97313385adac609","status":"in_progress","content":[{"type":"output_text","text":"half a ","annotations":[],"logprobs":[]}]}],"error":{"code":"agent_error","message":"The agent failed. The server''s log has the reason."},"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}', '{"request_id":"req_c2b8124c4ec9206ee3c8a22fe9df39c5"}', NULL, NULL, '{"status":500,"error":{"message":"The agent failed. The server''s log has the reason.","type":"model_error","param":null,"code":"agent_error"},"headers":{}}', 1, true, false, '', 1);
INSERT INTO public.agent_asgi_responses VALUES ('resp_1282ff61a53e0b4f808164a1b82da5e9', '', 'keeper', 'cancelled', 1795930790.1250186, 4949530790.125289, NULL, true, true, '{"input": "wait", "background": true}', '{"id":"resp_1282ff61a53e0b4f808164a1b82da5e9","object":"response","created_at":1795930790,"completed_at":null,"status":"cancelled","incomplete_details":{"reason":"client_cancelled"},"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"function_call","call_id":"c2","name":"add","arguments":"{}","id":"fc_3a5a6eee063e1ca1b68fe6432822a9b5","status":"completed"},{"type":"message","role":"assistant","id":"msg_a22e8f360ad65c2aaadb2874a64dd6d5","status":"in_progress","content":[{"type":"output_text","text":"half a sentence","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}', '{"request_id":"req_3ede3e02982584cdac5e3107569a2846"}', NULL, NULL, NULL, 1, true, true, '', 1);
INSERT INTO public.agent_asgi_responses VALUES ('resp_d5aa9043abbedec99c3b6eb4c7121b00', '', 'keeper', 'completed', 1795930790.902943, 4949530790.926658, NULL, true, true, '{"input": "talk", "conversation": "talk-1", "background": true}', '{"id":"resp_d5aa9043abbedec99c3b6eb4c7121b00","object":"response","created_at":1795930790,"completed_at":1795930791,"status":"completed","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[{"type":"message","role":"assistant","id":"msg_3d64cc3eaf37dc6ae4e46b1a2a09d5a8","status":"completed","content":[{"type":"output_text","text":"You said 4 things.","annotations":[],"logprobs":[]}]}],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}', '{"session_id":"talk-1","request_id":"req_855f2083057ccd7af8b6bb0eaac0d3cf"}', NULL, NULL, NULL, 1, true, false, '', 1);
INSERT INTO public.agent_asgi_responses VALUES ('resp_9ab5fd94f18921b7946904cb228d2e2b', '', 'keeper', 'in_progress', 1795930794.5724137, 4949530794.602571, NULL, true, true, '{"input": "wait", "background": true, "conversation": "talk-2"}', '{"id":"resp_9ab5fd94f18921b7946904cb228d2e2b","object":"response","created_at":1795930794,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}', '{"session_id":"talk-2","request_id":"req_53240f3f27561df5b34566677501e572"}', NULL, NULL, NULL, 1, true, false, 'aef47156c2a9421db997297ebe4123d8', 1);
INSERT INTO public.agent_asgi_responses VALUES ('resp_e2913bbd9bc2a46e6c1816606b9fe4d5', '', 'keeper', 'queued', 1795930795.6614058, 4949530795.66174, NULL, true, true, '{"input": "queued", "background": true}', '{"id":"resp_e2913bbd9bc2a46e6c1816606b9fe4d5","object":"response","created_at":1795930795,"completed_at":null,"status":"queued","incomplete_details":null,"model":"keeper","previous_response_id":null,"instructions":null,"output":[],"error":null,"tools":[],"tool_choice":"auto","truncation":"disabled","parallel_tool_calls":true,"text":{"format":{"type":"text"}},"top_p":1.0,"presence_penalty":0.0,"frequency_penalty":0.0,"top_logprobs":0,"temperature":1.0,"reasoning":null,"usage":null,"max_output_tokens":null,"max_tool_calls":null,"store":true,"background":true,"service_tier":"default","metadata":{},"safety_identifier":null,"prompt_cache_key":null}', '{"request_id":"req_c947cc98f5aa7e53aeb4bf02362946bd"}', NULL, NULL, NULL, 0, true, false, '', 1);


--
-- Data for Name: agent_asgi_schema; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.agent_asgi_schema VALUES (2);


--
-- Data for Name: procrastinate_events; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.procrastinate_events VALUES (13, 8, 'deferred', '2026-11-29 05:39:54.648774+00');
INSERT INTO public.procrastinate_events VALUES (14, 8, 'started', '2026-11-29 05:39:54.661748+00');
INSERT INTO public.procrastinate_events VALUES (15, 10, 'deferred', '2026-11-29 05:39:55.690389+00');


--
-- Data for Name: procrastinate_jobs; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.procrastinate_jobs VALUES (8, 'agent_asgi:keeper', 'agent_asgi.run', 0, NULL, 'resp_9ab5fd94f18921b7946904cb228d2e2b', '{"response_id": "resp_9ab5fd94f18921b7946904cb228d2e2b"}', 'doing', NULL, 0, false, 2);
INSERT INTO public.procrastinate_jobs VALUES (10, 'agent_asgi:keeper', 'agent_asgi.run', 0, NULL, 'resp_e2913bbd9bc2a46e6c1816606b9fe4d5', '{"response_id": "resp_e2913bbd9bc2a46e6c1816606b9fe4d5"}', 'todo', NULL, 0, false, NULL);


--
-- Data for Name: procrastinate_periodic_defers; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: procrastinate_workers; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.procrastinate_workers OVERRIDING SYSTEM VALUE VALUES (2, '2026-11-29 05:39:54.594793+00');


--
-- Name: agent_asgi_schema_version_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.agent_asgi_schema_version_seq', 1, false);


--
-- Name: procrastinate_events_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.procrastinate_events_id_seq', 15, true);


--
-- Name: procrastinate_jobs_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.procrastinate_jobs_id_seq', 10, true);


--
-- Name: procrastinate_periodic_defers_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.procrastinate_periodic_defers_id_seq', 1, false);


--
-- Name: procrastinate_workers_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.procrastinate_workers_id_seq', 2, true);


--
-- Name: agent_asgi_events agent_asgi_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.agent_asgi_events
    ADD CONSTRAINT agent_asgi_events_pkey PRIMARY KEY (response_id, last);


--
-- Name: agent_asgi_items agent_asgi_items_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.agent_asgi_items
    ADD CONSTRAINT agent_asgi_items_pkey PRIMARY KEY (response_id, id);


--
-- Name: agent_asgi_locks agent_asgi_locks_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.agent_asgi_locks
    ADD CONSTRAINT agent_asgi_locks_pkey PRIMARY KEY (owner, conversation);


--
-- Name: agent_asgi_responses agent_asgi_responses_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.agent_asgi_responses
    ADD CONSTRAINT agent_asgi_responses_pkey PRIMARY KEY (id);


--
-- Name: agent_asgi_schema agent_asgi_schema_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.agent_asgi_schema
    ADD CONSTRAINT agent_asgi_schema_pkey PRIMARY KEY (version);


--
-- Name: procrastinate_events procrastinate_events_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_events
    ADD CONSTRAINT procrastinate_events_pkey PRIMARY KEY (id);


--
-- Name: procrastinate_jobs procrastinate_jobs_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_jobs
    ADD CONSTRAINT procrastinate_jobs_pkey PRIMARY KEY (id);


--
-- Name: procrastinate_periodic_defers procrastinate_periodic_defers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_periodic_defers
    ADD CONSTRAINT procrastinate_periodic_defers_pkey PRIMARY KEY (id);


--
-- Name: procrastinate_periodic_defers procrastinate_periodic_defers_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_periodic_defers
    ADD CONSTRAINT procrastinate_periodic_defers_unique UNIQUE (task_name, periodic_id, defer_timestamp);


--
-- Name: procrastinate_workers procrastinate_workers_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_workers
    ADD CONSTRAINT procrastinate_workers_pkey PRIMARY KEY (id);


--
-- Name: agent_asgi_items_id; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX agent_asgi_items_id ON public.agent_asgi_items USING btree (id);


--
-- Name: agent_asgi_locks_response; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX agent_asgi_locks_response ON public.agent_asgi_locks USING btree (response_id);


--
-- Name: agent_asgi_responses_active; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX agent_asgi_responses_active ON public.agent_asgi_responses USING btree (lease_until) WHERE ((status)::text = ANY ((ARRAY['queued'::character varying, 'in_progress'::character varying])::text[]));


--
-- Name: agent_asgi_responses_expiry; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX agent_asgi_responses_expiry ON public.agent_asgi_responses USING btree (expires_at);


--
-- Name: agent_asgi_responses_key; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX agent_asgi_responses_key ON public.agent_asgi_responses USING btree (owner, key);


--
-- Name: idx_procrastinate_jobs_worker_not_null; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_procrastinate_jobs_worker_not_null ON public.procrastinate_jobs USING btree (worker_id) WHERE ((worker_id IS NOT NULL) AND (status = 'doing'::public.procrastinate_job_status));


--
-- Name: idx_procrastinate_workers_last_heartbeat; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idx_procrastinate_workers_last_heartbeat ON public.procrastinate_workers USING btree (last_heartbeat);


--
-- Name: procrastinate_events_job_id_fkey_v1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX procrastinate_events_job_id_fkey_v1 ON public.procrastinate_events USING btree (job_id);


--
-- Name: procrastinate_jobs_id_lock_idx_v1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX procrastinate_jobs_id_lock_idx_v1 ON public.procrastinate_jobs USING btree (id, lock) WHERE (status = ANY (ARRAY['todo'::public.procrastinate_job_status, 'doing'::public.procrastinate_job_status]));


--
-- Name: procrastinate_jobs_lock_idx_v1; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX procrastinate_jobs_lock_idx_v1 ON public.procrastinate_jobs USING btree (lock) WHERE (status = 'doing'::public.procrastinate_job_status);


--
-- Name: procrastinate_jobs_priority_idx_v1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX procrastinate_jobs_priority_idx_v1 ON public.procrastinate_jobs USING btree (priority DESC, id) WHERE (status = 'todo'::public.procrastinate_job_status);


--
-- Name: procrastinate_jobs_queue_name_idx_v1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX procrastinate_jobs_queue_name_idx_v1 ON public.procrastinate_jobs USING btree (queue_name);


--
-- Name: procrastinate_jobs_queueing_lock_idx_v1; Type: INDEX; Schema: public; Owner: -
--

CREATE UNIQUE INDEX procrastinate_jobs_queueing_lock_idx_v1 ON public.procrastinate_jobs USING btree (queueing_lock) WHERE (status = 'todo'::public.procrastinate_job_status);


--
-- Name: procrastinate_periodic_defers_job_id_fkey_v1; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX procrastinate_periodic_defers_job_id_fkey_v1 ON public.procrastinate_periodic_defers USING btree (job_id);


--
-- Name: procrastinate_jobs procrastinate_jobs_notify_queue_job_aborted_v1; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER procrastinate_jobs_notify_queue_job_aborted_v1 AFTER UPDATE OF abort_requested ON public.procrastinate_jobs FOR EACH ROW WHEN (((old.abort_requested = false) AND (new.abort_requested = true) AND (new.status = 'doing'::public.procrastinate_job_status))) EXECUTE FUNCTION public.procrastinate_notify_queue_abort_job_v1();


--
-- Name: procrastinate_jobs procrastinate_jobs_notify_queue_job_inserted_v1; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1 AFTER INSERT ON public.procrastinate_jobs FOR EACH ROW WHEN ((new.status = 'todo'::public.procrastinate_job_status)) EXECUTE FUNCTION public.procrastinate_notify_queue_job_inserted_v1();


--
-- Name: procrastinate_jobs procrastinate_trigger_abort_requested_events_v1; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER procrastinate_trigger_abort_requested_events_v1 AFTER UPDATE OF abort_requested ON public.procrastinate_jobs FOR EACH ROW WHEN ((new.abort_requested = true)) EXECUTE FUNCTION public.procrastinate_trigger_abort_requested_events_procedure_v1();


--
-- Name: procrastinate_jobs procrastinate_trigger_delete_jobs_v1; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER procrastinate_trigger_delete_jobs_v1 BEFORE DELETE ON public.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION public.procrastinate_unlink_periodic_defers_v1();


--
-- Name: procrastinate_jobs procrastinate_trigger_scheduled_events_v1; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER procrastinate_trigger_scheduled_events_v1 AFTER INSERT OR UPDATE ON public.procrastinate_jobs FOR EACH ROW WHEN (((new.scheduled_at IS NOT NULL) AND (new.status = 'todo'::public.procrastinate_job_status))) EXECUTE FUNCTION public.procrastinate_trigger_function_scheduled_events_v1();


--
-- Name: procrastinate_jobs procrastinate_trigger_status_events_insert_v1; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER procrastinate_trigger_status_events_insert_v1 AFTER INSERT ON public.procrastinate_jobs FOR EACH ROW WHEN ((new.status = 'todo'::public.procrastinate_job_status)) EXECUTE FUNCTION public.procrastinate_trigger_function_status_events_insert_v1();


--
-- Name: procrastinate_jobs procrastinate_trigger_status_events_update_v1; Type: TRIGGER; Schema: public; Owner: -
--

CREATE TRIGGER procrastinate_trigger_status_events_update_v1 AFTER UPDATE OF status ON public.procrastinate_jobs FOR EACH ROW EXECUTE FUNCTION public.procrastinate_trigger_function_status_events_update_v1();


--
-- Name: procrastinate_events procrastinate_events_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_events
    ADD CONSTRAINT procrastinate_events_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.procrastinate_jobs(id) ON DELETE CASCADE;


--
-- Name: procrastinate_jobs procrastinate_jobs_worker_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_jobs
    ADD CONSTRAINT procrastinate_jobs_worker_id_fkey FOREIGN KEY (worker_id) REFERENCES public.procrastinate_workers(id) ON DELETE SET NULL;


--
-- Name: procrastinate_periodic_defers procrastinate_periodic_defers_job_id_fkey; Type: FK CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.procrastinate_periodic_defers
    ADD CONSTRAINT procrastinate_periodic_defers_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.procrastinate_jobs(id);


--
-- PostgreSQL database dump complete
--


