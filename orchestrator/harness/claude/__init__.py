"""Claude Code: its command line, its messages and its control protocol.

    base = ClaudeAdapterConfig(cli_path=..., base_url=...)
    registry = PlatformRegistry(base=base, adapter=ClaudeAdapter(isolation=probe(), clock=time.time))
    config = registry.config_for(resolution.effective)
    async with registry.adapter_for(config.effective.harness).start(config, context) as run:
        async for message in run:          # AgentMessage, numbered from 1; ends with the process
            ...
        # from anywhere: await run.interrupt() to snooze, await run.interrupt(Cancelled()) to cancel
    run.report                             # Report: outcome, usage, enforcement, calls, transcript, warnings

`start` raises nothing for what an agent or its command line can do wrong: each of these is the outcome of the
report, a refused start included (`NotStarted`, with no message before it). Leaving the block ends the
process.
"""
